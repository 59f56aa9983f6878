/*
 * Shifts the wall clock of the process that preloads it, by the microseconds in a file that can be
 * rewritten while the process runs. Monotonic clocks and timers are untouched, as they are when an
 * administrator or NTP sets the clock of a machine. Compiled by the testkit when a test asks for it.
 *
 * The kernel is asked directly: looking up the C library's own function could allocate memory, and
 * allocators ask for the time.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MICROS 1000000LL
#define NANOS 1000000000LL

static volatile const int64_t *shift;

__attribute__((constructor)) static void open_clock(void)
{
	const char *path = getenv("NRC_CLOCK_SHIFT");
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (file < 0)
		return;
	void *page = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
	close(file);
	if (page != MAP_FAILED)
		shift = page;
}

static int is_wall_clock(clockid_t clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int outcome = (int)syscall(SYS_clock_gettime, clock, now);
	if (outcome == 0 && shift && is_wall_clock(clock)) {
		int64_t micros = *shift;
		int64_t nanos = now->tv_nsec + micros % MICROS * 1000;
		now->tv_sec += micros / MICROS + (nanos < 0 ? -1 : nanos >= NANOS ? 1 : 0);
		now->tv_nsec = nanos < 0 ? nanos + NANOS : nanos >= NANOS ? nanos - NANOS : nanos;
	}
	return outcome;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec precise;
	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
		return -1;
	now->tv_sec = precise.tv_sec;
	now->tv_usec = precise.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *now)
{
	struct timespec precise;
	if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
		return -1;
	if (now)
		*now = precise.tv_sec;
	return precise.tv_sec;
}

int timespec_get(struct timespec *now, int base)
{
	return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, now) == 0 ? base : 0;
}
