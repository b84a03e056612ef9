// SPDX-License-Identifier: GPL-2.0-only
/*
 * Capacity of a GPU: one framebuffer size at a time or, with several, only at the placement ids
 * of each; no more vGPUs than fit in memory, and one on each VF.
 */
#include <linux/delay.h>
#include <linux/module.h>

#include "standin.h"

static uint create_delay_ms;
module_param(create_delay_ms, uint, 0644);
MODULE_PARM_DESC(create_delay_ms, "how long a vGPU takes to be made");
static uint fail_creates;
module_param(fail_creates, uint, 0644);
MODULE_PARM_DESC(fail_creates, "how many of the next vGPUs fail");
static uint fail_errno = EIO;
module_param(fail_errno, uint, 0644);
MODULE_PARM_DESC(fail_errno, "with which error number");

/*
 * Placement ids on 48 GiB while sizes are mixed, in the order in which they are tried; sizes that are
 * not listed start at their multiples.
 */
static const s8 ids_16[] = { 0, 32, -1 };
static const s8 ids_8[] = { 0, 16, 24, 40, -1 };
static const s8 ids_4[] = { 0, 8, 12, 20, 24, 32, 36, 44, -1 };
static const s8 ids_2[] = { 0, 4, 6, 10, 12, 16, 18, 22, 24, 28, 30, 34, 36, 40, 42, 46, -1 };
static const s8 ids_1_ampere[] = { 0, 2, 3, 5, 6, 9, 11, 12, 14, 15, 17, 18, 20, 21, 23, 24, 26,
				   27, 29, 30, 33, 35, 36, 38, 39, 41, 42, 44, 45, 47, -1 };
static const s8 ids_1_ada[] = { 0, 5, 6, 11, 12, 17, 18, 23, 24, 29, 30, 35, 36, 41, 42, 47, -1 };

static const s8 *ids_of(const struct gpu *gpu, unsigned int gib)
{
	if (!gpu->mixes_sizes || gpu->card->gib != 48)
		return NULL;
	switch (gib) {
	case 16:
		return ids_16;
	case 8:
		return ids_8;
	case 4:
		return ids_4;
	case 2:
		return ids_2;
	case 1:
		return gpu->card->ada ? ids_1_ada : ids_1_ampere;
	default:
		return NULL;
	}
}

/* The nth id at which a vGPU of this size may start; negative after the last. */
static int nth_id(const struct gpu *gpu, unsigned int gib, unsigned int n)
{
	const s8 *ids = ids_of(gpu, gib);

	if (ids)
		return ids[n];
	return (n + 1) * gib <= gpu->card->gib ? n * gib : -1;
}
static bool is_free(struct gpu *gpu, unsigned int start, unsigned int gib)
{
	return find_next_bit(gpu->memory, start + gib, start) == start + gib;
}

/* The first free id, or this one if it is not negative; negative if there is none. */
static int place(struct gpu *gpu, unsigned int gib, int wanted)
{
	unsigned int n;
	int id;

	for (n = 0; (id = nth_id(gpu, gib, n)) >= 0; n++)
		if ((wanted < 0 || id == wanted) && is_free(gpu, id, gib))
			return id;
	return -ENOSPC;
}

static unsigned int places(struct gpu *gpu, unsigned int gib)
{
	unsigned int n, free = 0;
	int id;

	for (n = 0; (id = nth_id(gpu, gib, n)) >= 0; n++)
		free += is_free(gpu, id, gib);
	return free;
}

static unsigned int available(struct function *function, const struct vgpu_type *type)
{
	struct gpu *gpu = function->gpu;
	unsigned int n;

	lockdep_assert_held(&gpu->lock);
	if (!gpu->published || (function->pdev->is_virtfn && function->vgpus))
		return 0;
	if (gpu->vgpus >= gpu->card->most ||
	    (gpu->vgpus && gpu->gib != type->gib && !gpu->mixes_sizes))
		return 0;
	n = min(places(gpu, type->gib), gpu->card->most - gpu->vgpus);
	return function->pdev->is_virtfn ? min(n, 1U) : n;
}

/* What is listed. While sizes are mixed, a type is no longer listed once vGPUs of any type are as many as its most. */
unsigned int gpu_available(struct function *function, const struct vgpu_type *type)
{
	struct gpu *gpu = function->gpu;
	unsigned int n;

	mutex_lock(&gpu->lock);
	n = gpu->mixes_sizes && gpu->vgpus >= type->most ? 0 : available(function, type);
	mutex_unlock(&gpu->lock);
	return n;
}

static int take(struct vgpu *vgpu, struct vgpu_type *type)
{
	struct function *function = vgpu->function;
	struct gpu *gpu = function->gpu;
	int start;

	if (vgpu->type)
		return -EPERM;
	if (!available(function, type))
		return -EIO;
	start = place(gpu, type->gib, vgpu->wanted_placement);
	if (start < 0)
		return -EIO;
	if (fail_creates) {
		fail_creates--;
		return -(int)fail_errno;
	}
	bitmap_set(gpu->memory, start, type->gib);
	if (!gpu->vgpus++)
		gpu->gib = type->gib;
	function->vgpus++;
	vgpu->placement = start;
	vgpu->type = type;
	return 0;
}

/* Allocates memory for a vGPU of this type. EIO if it does not fit. */
int gpu_take(struct vgpu *vgpu, struct vgpu_type *type)
{
	struct gpu *gpu = vgpu->function->gpu;
	int result;

	mutex_lock(&gpu->creating);
	if (create_delay_ms)
		msleep(create_delay_ms);
	mutex_lock(&gpu->lock);
	result = take(vgpu, type);
	mutex_unlock(&gpu->lock);
	mutex_unlock(&gpu->creating);
	return result;
}

/* gpu->lock is held. */
void gpu_give_back(struct vgpu *vgpu)
{
	struct gpu *gpu = vgpu->function->gpu;

	lockdep_assert_held(&gpu->lock);
	if (!vgpu->type)
		return;
	bitmap_clear(gpu->memory, vgpu->placement, vgpu->type->gib);
	gpu->vgpus--;
	vgpu->function->vgpus--;
	vgpu->type = NULL;
}

/* What nvidia-smi vgpu -shm does: for a GPU that has VFs and no vGPU. */
int gpu_mix_sizes(struct gpu *gpu, bool mix)
{
	int result = 0;

	mutex_lock(&gpu->lock);
	if (!pci_num_vf(gpu->pdev))
		result = -EOPNOTSUPP;
	else if (gpu->vgpus)
		result = -EBUSY;
	else
		gpu->mixes_sizes = mix;
	mutex_unlock(&gpu->lock);
	return result;
}

void gpu_forget_mode(struct gpu *gpu)
{
	mutex_lock(&gpu->lock);
	gpu->mixes_sizes = false;
	mutex_unlock(&gpu->lock);
}
