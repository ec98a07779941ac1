/* The supervised child: the first thing it does is to read the clock.
 *
 *   child idle   TAG MARKS                 TERM, INT: mark t, exit 0.  USR1: mark x, exit 1
 *   child ignore TAG MARKS                 TERM, INT: mark i and go on
 *   child once   TAG MARKS                 exit 0 at once
 *   child spew   TAG MARKS CHUNK MS BYTES  on USR1: mark s, write 100-byte lines to stdout, CHUNK bytes a
 *                                          write(2), for MS milliseconds or BYTES; mark w, then as idle
 *
 * Each begins with mark m. A mark is one line appended to MARKS: KIND TAG NANOSECONDS PID NUMBER
 * (CLOCK_MONOTONIC; NUMBER is the signal of t and i, the bytes written of w).
 *
 * Without a C library, whose start takes as long as making a process: what is timed is supervision.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#define LINE 100
#define SET_BYTES 8 /* of a signal set, as the kernel has it */
#define SIGNAL(number) (1UL << ((number) - 1))

static const unsigned long signals = SIGNAL(SIGTERM) | SIGNAL(SIGINT) | SIGNAL(SIGHUP) | SIGNAL(SIGUSR1);
static const char *marks, *tag;
static char buffer[1 << 16];

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");

static long call(long number, long a, long b, long c, long d)
{
	long result;
	register long r10 __asm__("r10") = d;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n mov x0, sp\n bl begin\n");

static long call(long number, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}
#else
#error "no system calls for this machine"
#endif

static long now(void)
{
	struct timespec t;
	call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&t, 0, 0);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void end(int code)
{
	for (;;)
		call(SYS_exit_group, code, 0, 0, 0);
}

static int same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static long parsed(const char *text)
{
	long value = 0;
	while (*text >= '0' && *text <= '9')
		value = value * 10 + *text++ - '0';
	return value;
}

static char *put(char *out, long value)
{
	char digits[24];
	int n = 0;
	do
		digits[n++] = '0' + value % 10;
	while (value /= 10);
	*out++ = ' ';
	while (n)
		*out++ = digits[--n];
	return out;
}

static void mark(char kind, long instant, long number)
{
	char line[256], *out = line;
	*out++ = kind;
	*out++ = ' ';
	for (const char *in = tag; *in && out < line + 128;)
		*out++ = *in++;
	out = put(put(put(out, instant), call(SYS_getpid, 0, 0, 0, 0)), number);
	*out++ = '\n';
	long fd = call(SYS_openat, AT_FDCWD, (long)marks, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || call(SYS_write, fd, (long)line, out - line, 0) != out - line)
		end(3);
	call(SYS_close, fd, 0, 0, 0);
}

static long next_signal(void)
{
	return call(SYS_rt_sigtimedwait, (long)&signals, 0, 0, SET_BYTES);
}

static void obey(int ignores)
{
	for (;;) {
		long number = next_signal(), instant = now();
		if (number == SIGUSR1) {
			mark('x', instant, 1);
			end(1);
		}
		if (number == SIGTERM || number == SIGINT) {
			mark(ignores ? 'i' : 't', instant, number);
			if (!ignores)
				end(0);
		}
	}
}

static void spew(long chunk, long milliseconds, long bytes)
{
	long total = 0, writes = 0, began, number;
	for (unsigned i = 0; i < sizeof buffer; i++)
		buffer[i] = i % LINE == LINE - 1 ? '\n' : "0123456789abcdefghijklmnopqrstuvwxyz"[i % LINE % 36];
	chunk -= chunk % LINE;
	while ((number = next_signal()) != SIGUSR1)
		if (number == SIGTERM || number == SIGINT)
			end(0);
	began = now();
	mark('s', began, 0);
	while (total < bytes) {
		for (long done = 0, n; done < chunk; done += n)
			if ((n = call(SYS_write, 1, (long)(buffer + done), chunk - done, 0)) < 0)
				end(3);
		total += chunk;
		if ((writes++ & 15) == 0 && now() >= began + milliseconds * 1000000L)
			break;
	}
	mark('w', now(), total);
}

__attribute__((used)) void begin(long *stack)
{
	long instant = now();
	char **argv = (char **)(stack + 1);
	if (*stack < 4)
		end(2);
	call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&signals, 0, SET_BYTES);
	tag = argv[2];
	marks = argv[3];
	mark('m', instant, 0);
	if (same(argv[1], "once"))
		end(0);
	if (same(argv[1], "spew") && *stack > 6)
		spew(parsed(argv[4]), parsed(argv[5]), parsed(argv[6]));
	obey(same(argv[1], "ignore"));
}
