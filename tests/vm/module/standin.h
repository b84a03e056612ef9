/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A stand-in for NVIDIA's vGPU host driver: its user space interface, without a GPU. See
 * README.md for its features.
 *
 *   main.c   the PCI driver: probes GPUs and VFs, enables VFs, publishes types
 *   gpu.c    capacity of a GPU
 *   cards.c  cards and their types
 *   vfio.c   a vGPU as a VFIO device that can be opened
 *   mdev.c   the mediated-device framework
 *   vf.c     the vendor-specific framework: VFs with nvidia/
 */
#ifndef STANDIN_H
#define STANDIN_H

#include <linux/bitmap.h>
#include <linux/list.h>
#include <linux/mdev.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/vfio.h>
#include <linux/workqueue.h>

#define MOST_GIB 64
#define PARAMS_SIZE 1024	/* the longest write to vgpu_params */

struct card_type {
	u32 id;
	const char *suffix;	/* "1Q" */
};

struct card {
	const char *name;	/* "GRID P4" */
	unsigned int gib;	/* shared by the vGPUs */
	unsigned int most;	/* maximum number of vGPUs: the number of VFs, if there are VFs */
	bool ada;		/* of that generation: fewer placement ids for 1 GiB */
	unsigned int nr_types;
	const struct card_type *types;
};

/* A type of one parent, or of one VF. */
struct vgpu_type {
	struct mdev_type mdev;
	u32 id;
	unsigned int gib;
	unsigned int most;
	char sysfs_name[12];
	char name[40];
	char description[120];
};

struct gpu {
	struct list_head node;
	struct pci_dev *pdev;
	const struct card *card;
	struct list_head functions;
	struct mutex publish_lock;	/* functions, published, registering parents */
	bool published;
	struct delayed_work publish;
	struct mutex creating;		/* one vGPU at a time */
	struct mutex lock;		/* protects the following, and the state of functions and vGPUs */
	unsigned int vgpus;
	bool mixes_sizes;
	unsigned int gib;		/* of the first vGPU; all others have it too unless sizes are mixed */
	DECLARE_BITMAP(memory, MOST_GIB);
};

/* A PCI function on which vGPUs are created: a GPU without VFs, or a VF. */
struct function {
	struct list_head node;
	struct gpu *gpu;
	struct pci_dev *pdev;
	struct vgpu_type *types;
	struct mdev_type **mdev_types;
	struct mdev_parent parent;
	bool registered;	/* as a parent */
	unsigned int vgpus;
	struct vgpu *vgpu;	/* a VF of the vendor-specific framework always has one */
};

/* The device that a virtual machine opens. */
struct vgpu {
	struct vfio_device vdev;
	struct function *function;
	struct vgpu_type *type;	/* NULL: a VF without a type */
	unsigned int placement;	/* offset in GiB */
	int wanted_placement;	/* negative if unset */
	bool open;
	bool was_open;
	bool warm_update;
	unsigned long closed;	/* jiffies */
	char params[PARAMS_SIZE + 1];
	u8 config[PCI_CFG_SPACE_SIZE];
};

const struct card *card_of(u16 device);
int types_fill(struct function *function);
void types_free(struct function *function);

unsigned int gpu_available(struct function *function, const struct vgpu_type *type);
int gpu_take(struct vgpu *vgpu, struct vgpu_type *type);
void gpu_give_back(struct vgpu *vgpu);
int gpu_mix_sizes(struct gpu *gpu, bool mix);
void gpu_forget_mode(struct gpu *gpu);

struct vgpu *vgpu_new(struct device *dev, struct function *function);
void vgpu_end(struct vgpu *vgpu);
ssize_t vgpu_params_show(struct vgpu *vgpu, char *buf);
ssize_t vgpu_params_store(struct vgpu *vgpu, const char *buf, size_t count);

extern struct mdev_driver vgpu_mdev_driver;

int vf_start(struct function *function);
void vf_stop(struct function *function);

#endif
