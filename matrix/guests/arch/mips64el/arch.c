/* SPDX-License-Identifier: MIT */
/*
 * mips64el: QEMU's malta board with an I6400 (MIPS64 release 6). Arguments as YAMON gives them, the
 * ISA serial port, the south bridge's power management to end, pvpanic-pci to panic. With several
 * CPUs (and only then) the board has a Coherent Processing System: its power controller starts the
 * others, and its interrupt controller has the counter and the deadlines, which CP0 has otherwise.
 *
 * Sources: MIPS Architecture For Programmers III, MIPS64 privileged resource (MD00091); MIPS Malta
 * user's manual (MD00048); I6400 software user's manual; Galileo GT-64120 and Intel 82371AB
 * (PIIX4) data sheets; Intel 8254 data sheet; QEMU docs/specs/pvpanic.rst.
 */
#include <arch.h>
#include <guest.h>
#include <memory-map.h>

#include "frame.h"

/* Physical addresses. RAM is seen in full at 2 GiB, and its first 256 MiB also at 0. */
#define RAM        0x80000000ull
#define PCI_MEMORY 0x10000000u /* the same on both sides of the bridge */
#define PCI_IO     0x18000000u
#define GIC        0x1bdc0000u
#define CPC        0x1bde0000u
#define GT64120    0x1be00000u
#define KSEG0_MASK 0x1fffffffu

#define CACHED(physical)   (0x9800000000000000ull | (physical)) /* xkphys, coherent */
#define UNCACHED(physical) (0x9000000000000000ull | (physical))
#define UNMAPPED           0xc000000000001000ull /* xkseg, for which the TLB has nothing */

#define CAUSE_CODE(cause) ((cause) >> 2 & 31)
#define CODE_INTERRUPT    0
#define CODE_TLB_LOAD     2
#define STATUS_IE         1u
#define STATUS_IM         0xff00u
#define CONFIG3_CMGCR     (1u << 29)

#define read_cp0(name)                                                                             \
    ({                                                                                             \
        uint32_t cp0_value;                                                                        \
        __asm__ volatile("mfc0 %0, " name : "=r"(cp0_value) : : "memory");                         \
        cp0_value;                                                                                 \
    })
#define write_cp0(name, value)                                                                     \
    __asm__ volatile("mtc0 %0, " name "\n\tehb" : : "r"(value) : "memory")
#define COUNT             "$9"
#define COMPARE           "$11"
#define STATUS            "$12"
#define CAUSE             "$13"
#define INTERRUPT_CONTROL "$12, 1"
#define EBASE             "$15, 1"
#define CMGCR_BASE        "$15, 3"
#define CONFIG3           "$16, 3"

/* What the exception handler tells the CPU it interrupted. */
struct cpu {
    uint64_t timer_clock;  /* first thing in the handler; 0: no interrupt yet */
    uint64_t fault_resume; /* 0: a fault is not expected */
    unsigned faults;
    bool timer_proven;
};

struct frame {
    uint64_t registers[18];
    uint64_t epc;
};

_Static_assert(offsetof(struct frame, epc) == FRAME_EPC, "start.S");
_Static_assert(sizeof(struct frame) <= FRAME_SIZE, "start.S");

extern char image_end[];

uint64_t secondary_stacks[MAX_CPUS]; /* initial stack pointers, for start.S */

_Noreturn void secondary_main(uint64_t number);
void exception(uint32_t cause, struct frame *frame);

static uint8_t stacks[MAX_CPUS][STACK_SIZE] __attribute__((aligned(16)));
static void (*entries[MAX_CPUS])(unsigned cpu);
static struct cpu cpus[MAX_CPUS];
static char arguments[1024];
static uint64_t memory_size;
static uint64_t coherence; /* the coherence manager's registers; 0: there is none */
static unsigned cpu_count = 1;

static uint8_t read8(uint64_t address)
{
    return *(volatile uint8_t *)address;
}

static uint32_t read32(uint64_t address)
{
    return *(volatile uint32_t *)address;
}

static uint64_t read64(uint64_t address)
{
    return *(volatile uint64_t *)address;
}

static void write8(uint64_t address, uint8_t value)
{
    *(volatile uint8_t *)address = value;
}

static void write16(uint64_t address, uint16_t value)
{
    *(volatile uint16_t *)address = value;
}

static void write32(uint64_t address, uint32_t value)
{
    *(volatile uint32_t *)address = value;
}

static void write64(uint64_t address, uint64_t value)
{
    *(volatile uint64_t *)address = value;
}

static struct cpu *this_cpu(void)
{
    return &cpus[arch_cpu_number()];
}

/*
 * Console: a 16550
 */

#define SERIAL                    UNCACHED(PCI_IO + 0x3f8)
#define SERIAL_DATA               (SERIAL + 0)
#define SERIAL_LINE_STATUS        (SERIAL + 5)
#define LINE_STATUS_DATA_READY    0x01
#define LINE_STATUS_HOLDING_EMPTY 0x20

void arch_console_write(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        while (!(read8(SERIAL_LINE_STATUS) & LINE_STATUS_HOLDING_EMPTY))
            arch_relax();
        write8(SERIAL_DATA, (uint8_t)text[i]);
    }
}

int arch_console_read(void)
{
    return read8(SERIAL_LINE_STATUS) & LINE_STATUS_DATA_READY ? read8(SERIAL_DATA) : -1;
}

/*
 * PCI, through the GT-64120's two registers
 */

#define CONFIGURATION_ADDRESS UNCACHED(GT64120 + 0xcf8)
#define CONFIGURATION_DATA    UNCACHED(GT64120 + 0xcfc)
#define PCI_SLOTS             32
#define PCI_ID                0x00
#define PCI_COMMAND           0x04
#define PCI_COMMAND_MEMORY    0x2u
#define PCI_BASE_ADDRESS_0    0x10

#define PVPANIC_ID       0x00111b36u /* device 0x0011 of vendor 0x1b36 */
#define PVPANIC_PANICKED 1u

/* The south bridge is in slot 10; its function 3 is power management. */
#define POWER_MANAGEMENT    10, 3
#define POWER_BASE          0x40
#define POWER_MISCELLANEOUS 0x80
#define POWER_IO_ENABLE     1u
#define POWER_IO            0x1000u /* where we put its registers */
#define POWER_CONTROL       4
#define POWER_SLEEP_ENABLE  (1u << 13) /* with sleep type 0: soft off */

static void select_configuration(unsigned slot, unsigned function, unsigned offset)
{
    write32(CONFIGURATION_ADDRESS, 1u << 31 | slot << 11 | function << 8 | offset);
}

static uint32_t read_configuration(unsigned slot, unsigned function, unsigned offset)
{
    select_configuration(slot, function, offset);
    return read32(CONFIGURATION_DATA);
}

static void write_configuration(unsigned slot, unsigned function, unsigned offset, uint32_t value)
{
    select_configuration(slot, function, offset);
    write32(CONFIGURATION_DATA, value);
}

/*
 * Ends
 */

_Noreturn void arch_exit(int code)
{
    print("EXIT: STATUS=%d\n", code << 1 | 1);
    write_configuration(POWER_MANAGEMENT, POWER_BASE, POWER_IO | 1);
    write_configuration(POWER_MANAGEMENT, POWER_MISCELLANEOUS, POWER_IO_ENABLE);
    write16(UNCACHED(PCI_IO + POWER_IO + POWER_CONTROL), POWER_SLEEP_ENABLE);
    arch_hang();
}

_Noreturn void arch_hang(void)
{
    write_cp0(STATUS, read_cp0(STATUS) & ~(STATUS_IE | STATUS_IM));
    for (;;)
        __asm__ volatile("wait");
}

const char *arch_panic(void)
{
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        if (read_configuration(slot, 0, PCI_ID) != PVPANIC_ID)
            continue;
        /* No other device is configured, so the window's first address is free. */
        write_configuration(slot, 0, PCI_BASE_ADDRESS_0, PCI_MEMORY);
        write_configuration(slot, 0, PCI_COMMAND, PCI_COMMAND_MEMORY);
        if (!(read8(UNCACHED(PCI_MEMORY)) & PVPANIC_PANICKED))
            return "this pvpanic does not take a panic";
        write8(UNCACHED(PCI_MEMORY), PVPANIC_PANICKED);
        /* QEMU may be told to let the guest run on. */
        arch_hang();
    }
    return "no pvpanic-pci device";
}

/*
 * CPUs: registers of the coherence manager (GCR) and the power controller (CPC)
 */

#define GCR_GIC_BASE          0x0080
#define GCR_CPC_BASE          0x0088
#define GCR_BASE_ENABLE       1u
#define GCR_LOCAL_CONFIG      0x2010
#define GCR_LOCAL_CONFIG_LAST 0x3ffu /* virtual processors of this core, less one */

#define CPC_LOCAL_STOP    UNCACHED(CPC + 0x2020)
#define CPC_LOCAL_RUN     UNCACHED(CPC + 0x2028)
#define CPC_LOCAL_RUNNING UNCACHED(CPC + 0x2030)

static void find_cpus(void)
{
    if (!(read_cp0(CONFIG3) & CONFIG3_CMGCR))
        return;
    coherence = UNCACHED((uint64_t)read_cp0(CMGCR_BASE) << 4);
    write64(coherence + GCR_CPC_BASE, CPC | GCR_BASE_ENABLE);
    write64(coherence + GCR_GIC_BASE, GIC | GCR_BASE_ENABLE);
    if (read64(coherence + GCR_CPC_BASE) != (CPC | GCR_BASE_ENABLE)) {
        coherence = 0; /* a single CPU, without what its configuration promises */
        return;
    }
    cpu_count = (read32(coherence + GCR_LOCAL_CONFIG) & GCR_LOCAL_CONFIG_LAST) + 1;
}

unsigned arch_cpu_count(void)
{
    return cpu_count;
}

unsigned arch_cpu_number(void)
{
    return read_cp0(EBASE) & 0x3ff;
}

const char *arch_cpu_start(unsigned cpu, void (*entry)(unsigned cpu))
{
    if (read64(CPC_LOCAL_RUNNING) & 1ull << cpu)
        return "the CPU runs already";
    entries[cpu] = entry;
    secondary_stacks[cpu] = (uintptr_t)stacks[cpu] + STACK_SIZE;
    __asm__ volatile("sync" : : : "memory");
    write64(CPC_LOCAL_RUN, 1ull << cpu);
    return NULL;
}

/*
 * Time. Each CPU's Count starts with the CPU, so several of them need the counter that they share
 * in the interrupt controller. Either has 32 bits, which are extended here, a register to compare
 * with that raises an interrupt on equality, and a frequency to be measured with the 8254.
 */

#define GIC_COUNTER            UNCACHED(GIC + 0x10)
#define GIC_LOCAL_SET_MASK     UNCACHED(GIC + 0x8010)
#define GIC_LOCAL_COMPARE_MAP  UNCACHED(GIC + 0x8044)
#define GIC_LOCAL_COMPARE      UNCACHED(GIC + 0x80a0)
#define GIC_LOCAL_MASK_COMPARE (1u << 1)
#define GIC_MAP_TO_PIN_0       (1u << 31)
#define GIC_PIN_0              (1u << 10) /* in Cause.IP and Status.IM */

#define TIMER_HZ             1193182u
#define TIMER_CHANNEL_0      UNCACHED(PCI_IO + 0x40)
#define TIMER_CONTROL        UNCACHED(PCI_IO + 0x43)
#define TIMER_RATE_GENERATOR 0x34 /* channel 0, low byte then high byte, mode 2, binary */
#define TIMER_LATCH          0x00 /* channel 0 */
#define MEASURE_TICKS        (TIMER_HZ / 100)
#define MEASURE_ATTEMPTS     20

/* Counter and 8254, read at the same time. */
struct moment {
    uint32_t counter;
    uint16_t timer; /* counts down */
};

static uint64_t clock_frequency;

static uint32_t read_counter(void)
{
    return coherence != 0 ? read32(GIC_COUNTER) : read_cp0(COUNT);
}

/* Ends a pending interrupt, too. */
static void write_compare(uint32_t value)
{
    if (coherence != 0)
        write32(GIC_LOCAL_COMPARE, value);
    else
        write_cp0(COMPARE, value);
}

/* The bit of Cause.IP and Status.IM by which it comes; IntCtl.IPTI says which is CP0's own. */
static uint32_t timer_mask(void)
{
    return coherence != 0 ? GIC_PIN_0 : 256u << (read_cp0(INTERRUPT_CONTROL) >> 29);
}

static void enable_timer(void)
{
    if (coherence == 0)
        return;
    write32(GIC_LOCAL_COMPARE_MAP, GIC_MAP_TO_PIN_0);
    write32(GIC_LOCAL_SET_MASK, GIC_LOCAL_MASK_COMPARE);
}

/* The best of several attempts: the host may take its CPU away between two reads. */
static struct moment read_moment(void)
{
    struct moment best = {0};
    uint32_t shortest = UINT32_MAX;

    for (unsigned i = 0; i < MEASURE_ATTEMPTS; i++) {
        struct moment moment = {.counter = read_counter()};
        uint32_t took;

        write8(TIMER_CONTROL, TIMER_LATCH);
        took = read_counter() - moment.counter;
        moment.timer = read8(TIMER_CHANNEL_0);
        moment.timer |= (uint16_t)(read8(TIMER_CHANNEL_0) << 8);
        if (took < shortest) {
            shortest = took;
            best = moment;
        }
    }
    return best;
}

static void measure_frequency(void)
{
    struct moment start, end;
    uint16_t passed;

    write8(TIMER_CONTROL, TIMER_RATE_GENERATOR);
    write8(TIMER_CHANNEL_0, 0); /* 65536 ticks, 55 ms */
    write8(TIMER_CHANNEL_0, 0);
    start = read_moment();
    do {
        end = read_moment();
        passed = (uint16_t)(start.timer - end.timer);
    } while (passed < MEASURE_TICKS);
    clock_frequency = (uint64_t)(end.counter - start.counter) * TIMER_HZ / passed;
}

uint64_t arch_clock(void)
{
    static uint64_t latest;
    uint64_t before = __atomic_load_n(&latest, __ATOMIC_ACQUIRE);
    uint32_t passed = read_counter() - (uint32_t)before;
    uint64_t now = before + passed;

    /* Kept up to date well before the counter comes round, and not more often, so that CPUs do not
     * contend. Where another CPU has just done it, that is as good. */
    if (passed >> 24 != 0)
        __atomic_compare_exchange_n(&latest, &before, now, false, __ATOMIC_RELEASE,
                                    __ATOMIC_RELAXED);
    return now;
}

uint64_t arch_clock_frequency(void)
{
    return clock_frequency;
}

const char *arch_timer_missing(void)
{
    return NULL;
}

/* Asleep, or the first time on each CPU awake: an interrupt that never comes ends that one sleep
 * only, and proves that it is safe to sleep. Since release 6 a pending interrupt ends WAIT with
 * interrupts off too, so that none can come just before it and be missed. */
static void wait_for_timer(struct cpu *cpu, uint64_t limit)
{
    const volatile uint64_t *came = &cpu->timer_clock;
    uint32_t status = read_cp0(STATUS);

    write_cp0(STATUS, status | timer_mask());
    while (*came == 0) {
        if (cpu->timer_proven)
            __asm__ volatile("wait" : : : "memory");
        else if (arch_clock() >= limit)
            break;
        write_cp0(STATUS, status | timer_mask() | STATUS_IE);
        write_cp0(STATUS, status | timer_mask());
    }
    write_cp0(STATUS, status);
    cpu->timer_proven = *came != 0;
}

/* A value that the counter has passed already would come a whole turn late. Cause.TI would not do
 * to see whether CP0's interrupt came: QEMU raises both, but to write Compare may then lower the
 * interrupt alone, where the time comes while that instruction is under way. */
static void set_timer(uint32_t ticks)
{
    uint32_t compare;

    do {
        compare = read_counter() + ticks;
        write_compare(compare);
        ticks = 2 * ticks + 1;
    } while ((int32_t)(read_counter() - compare) >= 0 && !(read_cp0(CAUSE) & timer_mask()));
}

uint64_t arch_timer_sleep(uint64_t deadline)
{
    const uint64_t longest = UINT32_MAX / 4;
    struct cpu *cpu = this_cpu();
    unsigned early = 0;
    uint64_t ticks;

    do {
        uint64_t now = arch_clock();

        ticks = deadline > now ? deadline - now : 0;
        cpu->timer_clock = 0;
        set_timer((uint32_t)(ticks < longest ? ticks : longest));
        wait_for_timer(cpu, now + ticks + clock_frequency);
        /* QEMU may raise the interrupt of the deadline before once more: it rounds down to before
         * the deadline, and is then due again. One that is early is not believed at first, a
         * second one is. */
    } while (cpu->timer_clock != 0 &&
             (ticks > longest || (cpu->timer_clock < deadline && early++ == 0)));
    return cpu->timer_clock;
}

/*
 * Exceptions
 */

void exception(uint32_t cause, struct frame *frame)
{
    struct cpu *cpu = this_cpu();
    char what[32];

    if (CAUSE_CODE(cause) == CODE_INTERRUPT && cause & timer_mask()) {
        cpu->timer_clock = arch_clock();
        write_compare(read_counter() - 1); /* far away */
    } else if (CAUSE_CODE(cause) == CODE_TLB_LOAD && cpu->fault_resume != 0) {
        cpu->faults++;
        frame->epc = cpu->fault_resume;
        cpu->fault_resume = 0;
    } else {
        format_text(what, sizeof(what), "exception %u", CAUSE_CODE(cause));
        guest_unhandled(what, frame->epc);
    }
}

unsigned arch_fault(const char **what)
{
    struct cpu *cpu = this_cpu();
    uint64_t scratch;

    cpu->faults = 0;
    __asm__ volatile("dla %0, 1f\n"
                     "sd %0, %1\n"
                     "ld %0, 0(%2)\n"
                     "1:"
                     : "=&r"(scratch), "=m"(cpu->fault_resume)
                     : "r"(UNMAPPED)
                     : "memory");
    cpu->fault_resume = 0;
    *what = "TLB refill, a read of an address that is not mapped";
    return cpu->faults;
}

_Noreturn void secondary_main(uint64_t number)
{
    enable_timer();
    entries[number]((unsigned)number);
    write64(CPC_LOCAL_STOP, 1ull << number);
    arch_hang();
}

/*
 * What YAMON tells: an array of 32-bit pointers: the image's name, the command line, and the
 * environment as names and values in turn, ended by a null pointer.
 */

static const char *monitor_text(const int32_t *pointers, unsigned index)
{
    return (const char *)(intptr_t)pointers[index];
}

static void read_arguments(const int32_t *pointers)
{
    format_text(arguments, sizeof(arguments), "%s", monitor_text(pointers, 1));
    for (unsigned i = 2; pointers[i] != 0 && pointers[i + 1] != 0; i += 2) {
        uint64_t value;
        const char *rest;

        /* "memsize" is only what lies below the I/O at 256 MiB. */
        if (strcmp(monitor_text(pointers, i), "ememsize") == 0 &&
            number_parse(monitor_text(pointers, i + 1), &value, &rest))
            memory_size = value;
    }
}

const char *arch_arguments(void)
{
    return arguments;
}

uint64_t arch_memory_size(void)
{
    return memory_size;
}

bool arch_memory_free(unsigned index, uintptr_t *start, uintptr_t *end)
{
    return memory_map_range(index, start, end);
}

void arch_init(uintptr_t boot_information)
{
    read_arguments((const int32_t *)boot_information);
    memory_map_add(CACHED(RAM), CACHED(RAM) + memory_size);
    /* All up to the end of the image: below it are the arguments. */
    memory_map_remove(CACHED(RAM), CACHED(RAM) + ((uintptr_t)image_end & KSEG0_MASK));
    find_cpus();
    enable_timer();
    measure_frequency();
}
