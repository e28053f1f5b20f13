/* Loaded into a node by LD_PRELOAD: writes down, in order, what it does to the files below RECORD_FOLDER, and each 250.
 *
 * One record: "kind bytes inode offset path\n", then so many bytes. The file is RECORD_FILE. A sync has two records, its
 * beginning and its end, with the thread as its offset: it brings to the disk what was written before it began, and may be relied on when it has ended.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) __typeof__(name) *real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

static void note(const char *kind, long inode, long long offset, const char *path, const void *data, size_t size)
{
    static int file = -1;
    static ssize_t (*put)(int, const struct iovec *, int);
    char head[PATH_MAX + 100];
    if (file < 0) {
        int (*make)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
        put = (ssize_t(*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
        file = make(getenv("RECORD_FILE"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    int length = snprintf(head, sizeof head, "%s %zu %ld %lld %s\n", kind, size, inode, offset, path);
    struct iovec pieces[2] = {{head, length}, {(void *)data, size}};
    if (put(file, pieces, 2) != (ssize_t)(length + size))
        abort();
}

/* Whether a path is one of the spool's that must survive: not a workplace, and not what SQLite can make anew. */
static int ours(const char *path)
{
    const char *folder = getenv("RECORD_FOLDER");
    size_t length = strlen(path);
    return folder && !strncmp(path, folder, strlen(folder)) && !strstr(path, "/work-")
        && !(length > 4 && !strcmp(path + length - 4, "-shm"));
}

static int known(int descriptor, char *path, long *inode)
{
    char link[40];
    struct stat about;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    if (!ours(path) || fstat(descriptor, &about))
        return 0;
    *inode = (long)about.st_ino;
    return 1;
}

static void absolute(int folder, const char *path, char *whole)
{
    char link[40];
    if (path[0] == '/') {
        snprintf(whole, PATH_MAX, "%s", path);
        return;
    }
    if (folder == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/cwd");
    else
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, whole, PATH_MAX - 1);
    snprintf(whole + (length > 0 ? length : 0), PATH_MAX - (length > 0 ? length : 0), "/%s", path);
}

/* -- names */

static int opened(int descriptor, int flags, int fresh)
{
    char path[PATH_MAX];
    long inode;
    if (descriptor >= 0 && known(descriptor, path, &inode)) {
        if (fresh)
            note("create", inode, 0, path, "", 0);
        else if (flags & O_TRUNC)
            note("truncate", inode, 0, path, "", 0);
    }
    return descriptor;
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...)                                                                        \
    {                                                                                                                  \
        REAL(name);                                                                                                    \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        int mode = flags & O_CREAT ? va_arg(more, int) : 0;                                                            \
        va_end(more);                                                                                                  \
        if (!(flags & (O_CREAT | O_TRUNC)))                                                                            \
            return real(path, flags, mode);                                                                            \
        pthread_mutex_lock(&order);                                                                                    \
        int fresh = access(path, F_OK) != 0;                                                                           \
        int result = opened(real(path, flags, mode), flags, fresh);                                                    \
        pthread_mutex_unlock(&order);                                                                                  \
        return result;                                                                                                 \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                                                   \
    int name(int folder, const char *path, int flags, ...)                                                            \
    {                                                                                                                  \
        REAL(name);                                                                                                    \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        int mode = flags & O_CREAT ? va_arg(more, int) : 0;                                                            \
        va_end(more);                                                                                                  \
        if (!(flags & (O_CREAT | O_TRUNC)))                                                                            \
            return real(folder, path, flags, mode);                                                                    \
        pthread_mutex_lock(&order);                                                                                    \
        int fresh = faccessat(folder, path, F_OK, 0) != 0;                                                             \
        int result = opened(real(folder, path, flags, mode), flags, fresh);                                            \
        pthread_mutex_unlock(&order);                                                                                  \
        return result;                                                                                                 \
    }
OPENAT(openat)
OPENAT(openat64)

static int named(const char *kind, int result, int folder, const char *path, const char *data)
{
    char whole[PATH_MAX];
    absolute(folder, path, whole);
    if (result == 0 && ours(whole))
        note(kind, 0, 0, whole, data, strlen(data));
    return result;
}

#define LOCKED(call)                                                                                                   \
    pthread_mutex_lock(&order);                                                                                        \
    __typeof__(call) result = call;                                                                                    \
    pthread_mutex_unlock(&order);                                                                                      \
    return result

int unlink(const char *path)
{
    REAL(unlink);
    LOCKED(named("unlink", real(path), AT_FDCWD, path, ""));
}

int unlinkat(int folder, const char *path, int flags)
{
    REAL(unlinkat);
    LOCKED(named("unlink", real(folder, path, flags), folder, path, ""));
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    LOCKED(named("rename", real(from, to), AT_FDCWD, from, to));
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    LOCKED(named("mkdir", real(path, mode), AT_FDCWD, path, ""));
}

/* -- bytes */

static ssize_t wrote(int descriptor, const struct iovec *pieces, long long offset, ssize_t result)
{
    char path[PATH_MAX];
    long inode;
    if (result <= 0 || !known(descriptor, path, &inode))
        return result;
    char *data = malloc(result), *end = data;
    for (ssize_t left = result; left > 0; pieces++) {
        ssize_t size = (ssize_t)pieces->iov_len < left ? (ssize_t)pieces->iov_len : left;
        memcpy(end, pieces->iov_base, size);
        end += size;
        left -= size;
    }
    note("write", inode, offset < 0 ? lseek(descriptor, 0, SEEK_CUR) - result : offset, path, data, result);
    free(data);
    return result;
}

ssize_t write(int descriptor, const void *data, size_t size)
{
    REAL(write);
    struct iovec piece = {(void *)data, size};
    LOCKED(wrote(descriptor, &piece, -1, real(descriptor, data, size)));
}

#define PWRITE(name, offset_type)                                                                                      \
    ssize_t name(int descriptor, const void *data, size_t size, offset_type offset)                                    \
    {                                                                                                                  \
        REAL(name);                                                                                                    \
        struct iovec piece = {(void *)data, size};                                                                     \
        LOCKED(wrote(descriptor, &piece, offset, real(descriptor, data, size, offset)));                               \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define PWRITEV(name, offset_type)                                                                                     \
    ssize_t name(int descriptor, const struct iovec *pieces, int count, offset_type offset)                            \
    {                                                                                                                  \
        REAL(name);                                                                                                    \
        LOCKED(wrote(descriptor, pieces, offset, real(descriptor, pieces, count, offset)));                            \
    }
PWRITEV(pwritev, off_t)
PWRITEV(pwritev64, off64_t)

#define PWRITEV2(name, offset_type)                                                                                    \
    ssize_t name(int descriptor, const struct iovec *pieces, int count, offset_type offset, int flags)                 \
    {                                                                                                                  \
        REAL(name);                                                                                                    \
        LOCKED(wrote(descriptor, pieces, offset, real(descriptor, pieces, count, offset, flags)));                     \
    }
PWRITEV2(pwritev2, off_t)
PWRITEV2(pwritev64v2, off64_t)

static int cut(int descriptor, long long size, int result)
{
    char path[PATH_MAX];
    long inode;
    if (result == 0 && known(descriptor, path, &inode))
        note("truncate", inode, size, path, "", 0);
    return result;
}

int ftruncate(int descriptor, off_t size)
{
    REAL(ftruncate);
    LOCKED(cut(descriptor, size, real(descriptor, size)));
}

int ftruncate64(int descriptor, off64_t size)
{
    REAL(ftruncate64);
    LOCKED(cut(descriptor, size, real(descriptor, size)));
}

static int cut_path(const char *path, long long size, int result)
{
    struct stat about;
    char whole[PATH_MAX];
    absolute(AT_FDCWD, path, whole);
    if (result == 0 && ours(whole) && !stat(path, &about))
        note("truncate", (long)about.st_ino, size, whole, "", 0);
    return result;
}

int truncate(const char *path, off_t size)
{
    REAL(truncate);
    LOCKED(cut_path(path, size, real(path, size)));
}

int truncate64(const char *path, off64_t size)
{
    REAL(truncate64);
    LOCKED(cut_path(path, size, real(path, size)));
}

/* -- what may be relied on */

static int synced(int descriptor, int (*real)(int))
{
    char path[PATH_MAX];
    long inode;
    if (!known(descriptor, path, &inode))
        return real(descriptor);
    pthread_mutex_lock(&order);
    note("sync", inode, gettid(), path, "", 0);
    pthread_mutex_unlock(&order);
    int result = real(descriptor);
    pthread_mutex_lock(&order);
    if (result == 0)
        note("synced", inode, gettid(), path, "", 0);
    pthread_mutex_unlock(&order);
    return result;
}

int fsync(int descriptor)
{
    REAL(fsync);
    return synced(descriptor, real);
}

int fdatasync(int descriptor)
{
    REAL(fdatasync);
    return synced(descriptor, real);
}

ssize_t send(int descriptor, const void *data, size_t size, int flags)
{
    REAL(send);
    if (size > 4 && getenv("RECORD_FOLDER") && !memcmp(data, "250 ", 4)) {
        pthread_mutex_lock(&order);
        note("told", 0, 0, "", data, size);
        pthread_mutex_unlock(&order);
    }
    return real(descriptor, data, size, flags);
}
