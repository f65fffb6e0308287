"""A disk outside of QEMU: the other end of its vhost-user-blk devices, over a unix socket.

A program of its own (``python -m matrix.vhost_user``), which serves every QEMU that connects from
one file, each over a connection of its own, as a guest's source and destination do. It has what a
live migration needs of it: guest memory by file descriptors, a log of the pages that it writes, and
rings that stop where one says and go on there. Modules:

- :mod:`.vhost_messages`: what comes over the socket, and what goes back;
- :mod:`.vhost_memory`: the guest's memory, and the log of what was written to it;
- :mod:`.vhost_ring`: a split virtqueue;
- :mod:`.vhost_device`: one connection;
- :mod:`.vhost_disk`: requests of virtio-blk.

The protocol is QEMU's docs/interop/vhost-user.rst.
"""
