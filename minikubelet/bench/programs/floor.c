/* The physical limit: the smallest supervisor that restarts, stops, escalates and keeps logs.
 *
 *   floor spawn COUNT PROGRAM        posix_spawn(3) and waitpid(2), one after another; prints microseconds each
 *   floor run CONFIG GRACE_SECONDS   one service a line of CONFIG: LOG \t PROGRAM \t ARGUMENT...
 *
 * One thread, epoll and signalfd; log lines get the prefix of the CRI.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGUMENTS 15
#define SIGNALS 0
#define TIMER 1
#define FIRST 2 /* epoll data: services come after those */

extern char **environ;

struct service {
	char *arguments[ARGUMENTS + 1];
	pid_t pid;
	int output, log, at_line_start;
};

static struct service *services;
static int count, living, stopping, epoll;
static char input[1 << 16], text[1 << 20];
static posix_spawnattr_t attributes;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(int fd, unsigned id)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = id };
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		fail("epoll_ctl");
}

static void start(int i)
{
	struct service *s = &services[i];
	posix_spawn_file_actions_t actions;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC))
		fail("pipe2");
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
	errno = posix_spawn(&s->pid, s->arguments[0], &actions, &attributes, s->arguments, environ);
	if (errno)
		fail("posix_spawn");
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	s->output = ends[0];
	s->at_line_start = 1;
	watch(s->output, FIRST + i);
	living++;
}

/* One read(2) to the log; whether there may be more. */
static int copy(struct service *s)
{
	ssize_t n = read(s->output, input, sizeof input);
	if (n <= 0)
		return n < 0 && errno == EAGAIN ? 0 : -1;
	struct timespec now;
	struct tm parts;
	char prefix[80], *out = text, *in = input, *end = input + n;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	size_t size = strftime(prefix, sizeof prefix, "%Y-%m-%dT%H:%M:%S", &parts);
	size += sprintf(prefix + size, ".%09ldZ stdout F ", now.tv_nsec);
	while (in < end) {
		char *newline = memchr(in, '\n', end - in);
		size_t length = newline ? (size_t)(newline + 1 - in) : (size_t)(end - in);
		if ((size_t)(out - text) + size + length > sizeof text) {
			if (write(s->log, text, out - text) < 0)
				fail("write");
			out = text;
		}
		if (s->at_line_start)
			out = mempcpy(out, prefix, size);
		out = mempcpy(out, in, length);
		in += length;
		s->at_line_start = newline != 0;
	}
	if (write(s->log, text, out - text) < 0)
		fail("write");
	return 1;
}

static void tell_all(int number)
{
	for (int i = 0; i < count; i++)
		if (services[i].pid)
			kill(services[i].pid, number);
}

static void bury(pid_t pid)
{
	for (int i = 0; i < count; i++) {
		struct service *s = &services[i];
		if (s->pid != pid)
			continue;
		s->pid = 0;
		living--;
		while (s->output >= 0 && copy(s) > 0)
			;
		if (s->output >= 0)
			close(s->output);
		s->output = -1;
		if (!stopping)
			start(i);
		return;
	}
}

static int run(const char *config, int grace)
{
	FILE *file = fopen(config, "r");
	char *line = 0;
	size_t capacity = 0;
	if (!file)
		fail(config);
	while (getline(&line, &capacity, file) > 0) {
		line[strcspn(line, "\n")] = 0;
		services = realloc(services, (count + 1) * sizeof *services);
		struct service *s = &services[count++];
		*s = (struct service){ .output = -1 };
		char *rest = strdup(line), *log = strsep(&rest, "\t");
		if ((s->log = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) < 0)
			fail(log);
		for (int k = 0; rest && k < ARGUMENTS; k++)
			s->arguments[k] = strsep(&rest, "\t");
	}
	fclose(file);
	sigset_t mask, none;
	sigemptyset(&none);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, 0);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	watch(signals, SIGNALS);
	watch(timer, TIMER);
	for (int i = 0; i < count; i++)
		start(i);
	for (;;) {
		struct epoll_event events[64];
		int n = epoll_wait(epoll, events, 64, -1);
		for (int k = 0; k < n; k++) {
			unsigned id = events[k].data.u32;
			if (id >= FIRST) {
				struct service *s = &services[id - FIRST];
				if (s->output >= 0 && copy(s) < 0) {
					close(s->output);
					s->output = -1;
				}
				continue;
			}
			if (id == TIMER) {
				unsigned long expirations;
				if (read(timer, &expirations, sizeof expirations) > 0)
					tell_all(SIGKILL);
				continue;
			}
			struct signalfd_siginfo info;
			while (read(signals, &info, sizeof info) == sizeof info)
				if (info.ssi_signo != SIGCHLD && !stopping) {
					stopping = 1;
					struct itimerspec at = { .it_value.tv_sec = grace };
					timerfd_settime(timer, 0, &at, 0);
					tell_all(SIGTERM);
				}
			for (pid_t pid; (pid = waitpid(-1, 0, WNOHANG)) > 0;)
				bury(pid);
			if (stopping && !living)
				return 0;
		}
	}
}

static int spawn(int times, char *program)
{
	char *arguments[] = { program, 0 };
	struct timespec a, b;
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < times; i++) {
		pid_t pid;
		if ((errno = posix_spawn(&pid, program, 0, 0, arguments, environ)))
			fail(program);
		waitpid(pid, 0, 0);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%.3f\n", ((b.tv_sec - a.tv_sec) * 1e6 + (b.tv_nsec - a.tv_nsec) / 1e3) / times);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "spawn"))
		return spawn(atoi(argv[2]), argv[3]);
	if (argc == 4 && !strcmp(argv[1], "run"))
		return run(argv[2], atoi(argv[3]));
	return 2;
}
