/* SPDX-License-Identifier: MIT */
/* Split virtqueues: VIRTIO 1.2, 2.7. */
#include <arch.h>
#include <virtio.h>

void virtio_describe(struct virtio_queue *queue, unsigned descriptor, const volatile void *what,
		     uint32_t length, unsigned flags)
{
	queue->descriptors[descriptor].address = little64(arch_physical_address((uintptr_t)what));
	queue->descriptors[descriptor].length = little32(length);
	queue->descriptors[descriptor].flags = little16(flags);
	queue->descriptors[descriptor].next = little16(descriptor + 1);
}

void virtio_submit(struct virtio_queue *queue, unsigned descriptor)
{
	const uint16_t index = little16(queue->available.index);

	queue->available.ring[index % queue->entries] = little16(descriptor);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&queue->available.index, little16(index + 1), __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	virtio_notify(queue);
}

bool virtio_take(struct virtio_queue *queue, unsigned *descriptor, uint32_t *written)
{
	const unsigned at = queue->taken % queue->entries;

	if (little16(__atomic_load_n(&queue->used.index, __ATOMIC_RELAXED)) == queue->taken)
		return false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*descriptor = little32(queue->used.ring[at].id);
	*written = little32(queue->used.ring[at].length);
	queue->taken++;
	return true;
}
