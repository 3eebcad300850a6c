/* A disk that is slow: preloaded, it delays what a process does with files under SLOW_FOLDER.
   Each sync and rename takes SLOW_MS more, each read and write as long as SLOW_KBPS kilobytes a second need. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int beneath(const char *path) {
    const char *folder = getenv("SLOW_FOLDER");
    return folder && path && !strncmp(path, folder, strlen(folder));
}

static int is_slow(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return beneath(path);
}

static void wait_us(long long us) {
    struct timespec rest = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&rest, NULL);
}

static long number(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

static void sync_delay(int fd) { if (is_slow(fd)) wait_us(number("SLOW_MS") * 1000LL); }

static void byte_delay(int fd, ssize_t size) {
    long speed = number("SLOW_KBPS");
    if (size > 0 && speed > 0 && is_slow(fd)) wait_us(size * 1000LL / speed);
}

#define REAL(name, ...) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))(__VA_ARGS__)

int fsync(int fd) { sync_delay(fd); return REAL(fsync, fd); }
int fdatasync(int fd) { sync_delay(fd); return REAL(fdatasync, fd); }
int rename(const char *old, const char *new) {
    if (beneath(new)) wait_us(number("SLOW_MS") * 1000LL);
    return REAL(rename, old, new);
}
ssize_t write(int fd, const void *data, size_t size) {
    ssize_t done = REAL(write, fd, data, size);
    byte_delay(fd, done);
    return done;
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    ssize_t done = REAL(pwrite64, fd, data, size, at);
    byte_delay(fd, done);
    return done;
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    ssize_t done = REAL(pwritev, fd, parts, count, at);
    byte_delay(fd, done);
    return done;
}
ssize_t read(int fd, void *data, size_t size) {
    ssize_t done = REAL(read, fd, data, size);
    byte_delay(fd, done);
    return done;
}
