// SPDX-License-Identifier: GPL-2.0-only
/*
 * Capacity of a GPU: one framebuffer size at a time, no more vGPUs than fit in memory, and
 * one on each VF.
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
static bool mixed_sizes;
module_param(mixed_sizes, bool, 0644);
MODULE_PARM_DESC(mixed_sizes, "vGPUs of several sizes on a GPU, as after nvidia-smi vgpu -shm 1");

static bool is_free(struct gpu *gpu, unsigned int start, unsigned int gib)
{
	return find_next_bit(gpu->memory, start + gib, start) == start + gib;
}

/* The first free placement, a multiple of the size; negative if there is none. */
static int place(struct gpu *gpu, unsigned int gib)
{
	unsigned int start;

	for (start = 0; start + gib <= gpu->card->gib; start += gib)
		if (is_free(gpu, start, gib))
			return start;
	return -ENOSPC;
}

static unsigned int places(struct gpu *gpu, unsigned int gib)
{
	unsigned int start, n = 0;

	for (start = 0; start + gib <= gpu->card->gib; start += gib)
		n += is_free(gpu, start, gib);
	return n;
}

static unsigned int available(struct function *function, const struct vgpu_type *type)
{
	struct gpu *gpu = function->gpu;
	unsigned int n;

	lockdep_assert_held(&gpu->lock);
	if (!gpu->published || (function->pdev->is_virtfn && function->vgpus))
		return 0;
	if (gpu->vgpus >= gpu->card->most || (gpu->vgpus && gpu->gib != type->gib && !mixed_sizes))
		return 0;
	n = min(places(gpu, type->gib), gpu->card->most - gpu->vgpus);
	return function->pdev->is_virtfn ? min(n, 1U) : n;
}

unsigned int gpu_available(struct function *function, const struct vgpu_type *type)
{
	unsigned int n;

	mutex_lock(&function->gpu->lock);
	n = available(function, type);
	mutex_unlock(&function->gpu->lock);
	return n;
}

static int take(struct vgpu *vgpu, struct vgpu_type *type)
{
	struct function *function = vgpu->function;
	struct gpu *gpu = function->gpu;
	int start = vgpu->wanted_placement;

	if (vgpu->type)
		return -EPERM;
	if (!available(function, type))
		return -EIO;
	if (start < 0)
		start = place(gpu, type->gib);
	if (start < 0 || start % type->gib || start + type->gib > gpu->card->gib ||
	    !is_free(gpu, start, type->gib))
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
