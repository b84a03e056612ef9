// SPDX-License-Identifier: GPL-2.0-only
/* A vGPU as a VFIO device: a virtual machine can open it and sees a function without memory. */
#include <linux/module.h>
#include <linux/uaccess.h>

#include "standin.h"

static uint open_errno;
module_param(open_errno, uint, 0644);
MODULE_PARM_DESC(open_errno, "the plugin refuses to start: what opening a vGPU fails with");

static struct vgpu *vgpu_of(struct vfio_device *vdev)
{
	return container_of(vdev, struct vgpu, vdev);
}

static int vgpu_open(struct vfio_device *vdev)
{
	struct vgpu *vgpu = vgpu_of(vdev);
	struct mutex *lock = &vgpu->function->gpu->lock;
	int result = -(int)open_errno;

	mutex_lock(lock);
	if (!vgpu->type)
		result = -ENODEV;
	if (!result)
		vgpu->open = true;
	mutex_unlock(lock);
	return result;
}

static void vgpu_close(struct vfio_device *vdev)
{
	struct vgpu *vgpu = vgpu_of(vdev);
	struct mutex *lock = &vgpu->function->gpu->lock;

	mutex_lock(lock);
	vgpu->open = false;
	vgpu->was_open = true;
	vgpu->closed = jiffies;
	mutex_unlock(lock);
}

static ssize_t vgpu_read(struct vfio_device *vdev, char __user *buf, size_t count, loff_t *at)
{
	return simple_read_from_buffer(buf, count, at, vgpu_of(vdev)->config,
				       PCI_CFG_SPACE_SIZE);
}

/* Writes are ignored: there are no BARs. */
static ssize_t vgpu_write(struct vfio_device *vdev, const char __user *buf, size_t count,
			  loff_t *at)
{
	if (*at < 0 || *at + count > PCI_CFG_SPACE_SIZE)
		return -EINVAL;
	*at += count;
	return count;
}

static long get_info(void __user *arg)
{
	struct vfio_device_info info;
	size_t size = offsetofend(struct vfio_device_info, num_irqs);

	if (copy_from_user(&info, arg, size))
		return -EFAULT;
	if (info.argsz < size)
		return -EINVAL;
	info.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = VFIO_PCI_NUM_REGIONS;
	info.num_irqs = VFIO_PCI_NUM_IRQS;
	return copy_to_user(arg, &info, size) ? -EFAULT : 0;
}

static long get_region_info(void __user *arg)
{
	struct vfio_region_info info;
	size_t size = offsetofend(struct vfio_region_info, offset);

	if (copy_from_user(&info, arg, size))
		return -EFAULT;
	if (info.argsz < size || info.index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	info.offset = 0;
	info.size = 0;
	info.flags = 0;
	if (info.index == VFIO_PCI_CONFIG_REGION_INDEX) {
		info.size = PCI_CFG_SPACE_SIZE;
		info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	}
	return copy_to_user(arg, &info, size) ? -EFAULT : 0;
}

static long get_irq_info(void __user *arg)
{
	struct vfio_irq_info info;
	size_t size = offsetofend(struct vfio_irq_info, count);

	if (copy_from_user(&info, arg, size))
		return -EFAULT;
	if (info.argsz < size || info.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	info.flags = 0;
	info.count = 0;
	return copy_to_user(arg, &info, size) ? -EFAULT : 0;
}

static long vgpu_ioctl(struct vfio_device *vdev, unsigned int command, unsigned long arg)
{
	switch (command) {
	case VFIO_DEVICE_GET_INFO:
		return get_info((void __user *)arg);
	case VFIO_DEVICE_GET_REGION_INFO:
		return get_region_info((void __user *)arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return get_irq_info((void __user *)arg);
	case VFIO_DEVICE_RESET:
		return 0;
	default:
		return -ENOTTY;
	}
}

static void vgpu_release(struct vfio_device *vdev)
{
	vfio_free_device(vdev);
}

static const struct vfio_device_ops vgpu_ops = {
	.name = "nvidia-vgpu-vfio",
	.release = vgpu_release,
	.open_device = vgpu_open,
	.close_device = vgpu_close,
	.read = vgpu_read,
	.write = vgpu_write,
	.ioctl = vgpu_ioctl,
};

/* Not registered yet: released by vfio_put_device() until then, by vgpu_end() afterwards. */
struct vgpu *vgpu_new(struct device *dev, struct function *function)
{
	struct vgpu *vgpu = vfio_alloc_device(vgpu, vdev, dev, &vgpu_ops);
	struct pci_dev *pdev = function->pdev;

	if (IS_ERR(vgpu))
		return vgpu;
	vgpu->function = function;
	vgpu->wanted_placement = -1;
	*(__le16 *)(vgpu->config + PCI_VENDOR_ID) = cpu_to_le16(pdev->vendor);
	*(__le16 *)(vgpu->config + PCI_DEVICE_ID) = cpu_to_le16(pdev->device);
	*(__le32 *)(vgpu->config + PCI_CLASS_REVISION) =
		cpu_to_le32(pdev->class << 8 | pdev->revision);
	return vgpu;
}

/* Waits until no process has it open. */
void vgpu_end(struct vgpu *vgpu)
{
	struct mutex *lock = &vgpu->function->gpu->lock;

	vfio_unregister_group_dev(&vgpu->vdev);
	mutex_lock(lock);
	gpu_give_back(vgpu);
	mutex_unlock(lock);
	vfio_put_device(&vgpu->vdev);
}

ssize_t vgpu_params_show(struct vgpu *vgpu, char *buf)
{
	ssize_t length;

	mutex_lock(&vgpu->function->gpu->lock);
	length = sysfs_emit(buf, "%s\n", vgpu->params);
	mutex_unlock(&vgpu->function->gpu->lock);
	return length;
}

/*
 * A write replaces the whole string, so a space and a newline clear it. The driver expects a newline: it
 * drops the last character, whatever it is.
 */
ssize_t vgpu_params_store(struct vgpu *vgpu, const char *buf, size_t count)
{
	struct mutex *lock = &vgpu->function->gpu->lock;
	ssize_t result = count;

	if (count > PARAMS_SIZE)
		return -E2BIG;
	mutex_lock(lock);
	if (vgpu->open)
		result = -EPERM;
	else
		strscpy(vgpu->params, buf, max_t(size_t, count, 1));
	mutex_unlock(lock);
	return result;
}
