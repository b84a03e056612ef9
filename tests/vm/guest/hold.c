/*
 * hold MODE NAME FIFO: opens a VFIO device (a mediated device's UUID, or a VF's PCI address) as a virtual machine
 * monitor does, prints "held", and closes it when FIFO becomes readable or on a signal.
 *
 *   group        only /dev/vfio/<group>
 *   container    the group added to a container, with its IOMMU type
 *   device       all of that and the device itself
 *   device-only  the device, with the descriptors of group and container closed again
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int check(const char *what, int result)
{
	if (result < 0) {
		fprintf(stderr, "hold: %s: %s\n", what, strerror(errno));
		exit(1);
	}
	return result;
}

int main(int argc, char **argv)
{
	char path[PATH_MAX], target[PATH_MAX], byte;
	int container, group, fifo;
	ssize_t length;

	if (argc != 4) {
		fprintf(stderr, "usage: hold group|container|device|device-only NAME FIFO\n");
		return 2;
	}
	snprintf(path, sizeof(path), "/sys/bus/%s/devices/%s/iommu_group",
		 strchr(argv[2], ':') ? "pci" : "mdev", argv[2]);
	length = check(path, readlink(path, target, sizeof(target) - 1));
	target[length] = '\0';
	snprintf(path, sizeof(path), "/dev/vfio/%s", basename(target));
	group = check(path, open(path, O_RDWR));

	if (strcmp(argv[1], "group")) {
		container = check("/dev/vfio/vfio", open("/dev/vfio/vfio", O_RDWR));
		check("VFIO_GROUP_SET_CONTAINER", ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
		check("VFIO_SET_IOMMU", ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
		if (!strncmp(argv[1], "device", 6))
			check("VFIO_GROUP_GET_DEVICE_FD", ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[2]));
		if (!strcmp(argv[1], "device-only")) {
			close(group);
			close(container);
		}
	}
	printf("held %s\n", argv[1]);
	fflush(stdout);

	fifo = check(argv[3], open(argv[3], O_RDONLY));
	while (read(fifo, &byte, 1) < 0 && errno == EINTR)
		;
	return 0;
}
