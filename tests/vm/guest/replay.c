/*
 * replay LOG IMAGE SCRATCH DEVICE TYPE MOUNTPOINT: reconstructs the disk after a power failure, case by case.
 *
 * LOG is the log of dm-log-writes, IMAGE the original disk, which is modified. For each case, SCRATCH, a file of the
 * same size behind the block device DEVICE, gets the contents of the disk, and is mounted as a file system of this TYPE:
 *
 *   write   all writes up to one, in the order of the log, which is the order in which they reached the disk
 *   flush   the same, and that write was a flush, or bypassed the disk's cache (FUA)
 *   lost    of the writes in the cache between two flushes, all reached the disk except one that is not the last
 *
 * All files below etc in the mounted file system, except .vgpuctl.tmp, form a state, which is represented by a number. The
 * first time that a state is observed after a mark in the log, this is printed, and the file system stays mounted until a
 * line is read from stdin:
 *
 *   new MARK STATE
 *
 * At the mark "end", it prints how often each state was observed, the number of writes and flushes in the log, and on how
 * many disks .vgpuctl.tmp existed, and exits. Flushes without data are not a separate case, since the write before them is.
 *
 *   seen MARK STATE WRITE FLUSH LOST
 *   end WRITES FLUSHES UNFINISHED
 */
#define _GNU_SOURCE
#include <errno.h>
#include <endian.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC 0x6a736677736872ULL
enum { SECTOR = 512, PAGE = 4096 };
enum { FLUSH = 1, FUA = 2, DISCARD = 4, MARK = 8 };
enum kind { WRITTEN, FLUSHED, LOST, KINDS };

struct entry {
	const uint8_t *data; /* null if the blocks were discarded */
	uint64_t at, length, flags;
};

static uint8_t *image, *in_use; /* in_use: for each page of the image, whether it was ever non-zero */
static size_t size;
static int scratch;
static char mark[256] = "before";

static void die(const char *what, const char *detail)
{
	fprintf(stderr, "replay: %s: %s\n", what, detail);
	exit(1);
}

static int open_it(const char *path, int flags, size_t *length)
{
	int fd = open(path, flags);
	struct stat file;

	if (fd < 0 || fstat(fd, &file) < 0)
		die(path, strerror(errno));
	*length = (size_t)file.st_size;
	return fd;
}

static uint8_t *map(const char *path, int flags, int protection, size_t *length)
{
	int fd = open_it(path, flags, length);
	void *mapped = mmap(NULL, *length, protection, MAP_SHARED, fd, 0);

	if (mapped == MAP_FAILED)
		die(path, strerror(errno));
	return mapped;
}

static void check(const struct entry *entry)
{
	if (entry->at > size || entry->length > size - entry->at)
		die("a write lies outside the disk", mark);
}

static void write_image(const struct entry *entry)
{
	check(entry);
	if (entry->data)
		memcpy(image + entry->at, entry->data, entry->length);
	else
		memset(image + entry->at, 0, entry->length);
	for (size_t at = entry->at / PAGE; at * PAGE < entry->at + entry->length; at++)
		in_use[at] = 1;
}

static void put(const void *data, size_t length, size_t at)
{
	if (pwrite(scratch, data, length, (off_t)at) != (ssize_t)length)
		die("cannot write the scratch disk", strerror(errno));
}

static void punch(size_t length, size_t at)
{
	if (fallocate(scratch, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)length) < 0)
		die("cannot empty the scratch disk", strerror(errno));
}

static void write_scratch(const struct entry *entry)
{
	check(entry);
	if (entry->data)
		put(entry->data, entry->length, entry->at);
	else
		punch(entry->length, entry->at);
}

/* Resets the scratch disk to the image. */
static void reset(void)
{
	punch(size, 0);
	for (size_t at = 0, end; at < size / PAGE; at = end + 1) {
		for (end = at; end < size / PAGE && in_use[end]; end++)
			;
		if (end > at)
			put(image + at * PAGE, (end - at) * PAGE, at * PAGE);
	}
}

static uint64_t hash(uint64_t sum, const void *bytes, size_t length)
{
	const uint8_t *byte = bytes;

	for (size_t at = 0; at < length; at++)
		sum = (sum ^ byte[at]) * 0x100000001b3ULL;
	return sum;
}

static uint64_t state;
static int is_unfinished;

/* Adds a file to the state. Includes its path, but not the order of files. */
static int add(const char *path, const struct stat *file, int type, struct FTW *where)
{
	uint64_t sum = hash(0xcbf29ce484222325ULL, path, strlen(path) + 1);
	uint8_t bytes[4096];
	ssize_t got;
	int fd;

	(void)file;
	if (type != FTW_F)
		return 0;
	if (!strcmp(path + where->base, ".vgpuctl.tmp")) {
		is_unfinished = 1;
		return 0;
	}
	fd = open(path, O_RDONLY);
	if (fd < 0)
		die(path, strerror(errno));
	while ((got = read(fd, bytes, sizeof(bytes))) > 0)
		sum = hash(sum, bytes, (size_t)got);
	if (got < 0)
		die(path, strerror(errno));
	close(fd);
	state += sum;
	return 0;
}

struct seen {
	char mark[sizeof(mark)];
	uint64_t state;
	unsigned long times[KINDS];
};
static struct seen all[4096];
static size_t seen_count;
static unsigned long unfinished;

/* Whether the state is observed for the first time. */
static int count_it(enum kind kind)
{
	struct seen *one = all;

	while (one < all + seen_count && (one->state != state || strcmp(one->mark, mark)))
		one++;
	one->times[kind]++;
	if (one < all + seen_count)
		return 0;
	if (++seen_count == sizeof(all) / sizeof(all[0]))
		die("too many states", mark);
	strcpy(one->mark, mark);
	one->state = state;
	return 1;
}

/* Checks the scratch disk, as after a boot. */
static void look(char **argv, enum kind kind)
{
	const char *device = argv[4], *type = argv[5], *where = argv[6];
	char etc[PATH_MAX], line[16];
	int fd = open(device, O_RDONLY);

	/* Drop data of earlier cases from the kernel's cache. */
	if (fd < 0 || ioctl(fd, BLKFLSBUF) < 0)
		die(device, strerror(errno));
	close(fd);
	if (mount(device, where, type, 0, NULL) < 0)
		die("cannot mount what is left", mark);
	snprintf(etc, sizeof(etc), "%s/etc", where);
	state = 0;
	is_unfinished = 0;
	if (nftw(etc, add, 16, FTW_PHYS | FTW_MOUNT) < 0)
		die(etc, strerror(errno));
	unfinished += is_unfinished;
	if (count_it(kind)) {
		printf("new %s %016llx\n", mark, (unsigned long long)state);
		fflush(stdout);
		if (!fgets(line, sizeof(line), stdin))
			exit(1);
	}
	if (umount(where) < 0)
		die(where, strerror(errno));
}

/* The next entry in the log. Entries have the size of a sector, so that they can contain the text of marks. */
static const uint8_t *parse(const uint8_t *log, size_t log_size, size_t *at, struct entry *entry)
{
	const uint8_t *head = log + *at;
	uint64_t field[4];

	if (*at + SECTOR > log_size)
		die("the log ends without its last mark", mark);
	memcpy(field, head, sizeof(field));
	entry->at = le64toh(field[0]) * SECTOR;
	entry->length = le64toh(field[1]) * SECTOR;
	entry->flags = le64toh(field[2]);
	*at += SECTOR;
	entry->data = NULL;
	if (!(entry->flags & DISCARD)) {
		if (entry->length > log_size - *at)
			die("the log ends in the middle of a write", mark);
		entry->data = log + *at;
		*at += entry->length;
	}
	return head + sizeof(field);
}

int main(int argc, char **argv)
{
	size_t log_size, scratch_size, at = SECTOR, run_at = 0;
	unsigned long writes = 0, flushes = 0;
	const uint8_t *log;
	uint64_t magic;

	if (argc != 7) {
		fprintf(stderr, "usage: replay LOG IMAGE SCRATCH DEVICE TYPE MOUNTPOINT\n");
		return 2;
	}
	log = map(argv[1], O_RDONLY, PROT_READ, &log_size);
	image = map(argv[2], O_RDWR, PROT_READ | PROT_WRITE, &size);
	scratch = open_it(argv[3], O_RDWR, &scratch_size);
	in_use = calloc(size / PAGE, 1);
	if (scratch_size != size || size % PAGE || !in_use)
		die("not of the image's size", argv[3]);
	for (size_t at = 0; at < size; at++)
		in_use[at / PAGE] |= image[at] != 0;
	memcpy(&magic, log, sizeof(magic));
	if (le64toh(magic) != MAGIC)
		die("not a log of dm-log-writes", argv[1]);

	for (;;) {
		struct entry entry;
		const uint8_t *text = parse(log, log_size, &at, &entry);

		if (entry.flags & MARK) {
			snprintf(mark, sizeof(mark), "%s", (const char *)text);
			if (!strcmp(mark, "end"))
				break;
			continue;
		}
		if (entry.flags & FLUSH)
			run_at = 0;
		else if (run_at < at) {
			/* A new series of writes without a flush: check the loss of each single write. */
			struct entry run[1024], next;
			size_t count = 0, ahead = at;

			run[count++] = entry;
			while (count < 1024) {
				parse(log, log_size, &ahead, &next);
				if (next.flags & (FLUSH | MARK))
					break;
				run[count++] = next;
			}
			run_at = ahead;
			for (size_t lost = 0; lost + 1 < count; lost++) {
				if (run[lost].flags & FUA)
					continue;
				reset();
				for (size_t one = 0; one < count; one++)
					if (one != lost)
						write_scratch(&run[one]);
				look(argv, LOST);
			}
		}
		if (entry.flags & (FLUSH | FUA))
			flushes++;
		if (!entry.length)
			continue;
		writes++;
		write_image(&entry);
		reset();
		look(argv, entry.flags & (FLUSH | FUA) ? FLUSHED : WRITTEN);
	}
	for (const struct seen *one = all; one < all + seen_count; one++)
		printf("seen %s %016llx %lu %lu %lu\n", one->mark, (unsigned long long)one->state,
		       one->times[WRITTEN], one->times[FLUSHED], one->times[LOST]);
	printf("end %lu %lu %lu\n", writes, flushes, unfinished);
	return 0;
}
