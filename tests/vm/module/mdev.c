// SPDX-License-Identifier: GPL-2.0-only
/* The mediated-device framework: nvidia-63 and the other types on a GPU or VF. */
#include "standin.h"

static struct vgpu_type *type_of(struct mdev_type *mdev)
{
	return container_of(mdev, struct vgpu_type, mdev);
}

static struct function *function_of(struct mdev_type *mdev)
{
	return container_of(mdev->parent, struct function, parent);
}

static unsigned int mdev_available(struct mdev_type *mdev)
{
	return gpu_available(function_of(mdev), type_of(mdev));
}

static ssize_t mdev_description(struct mdev_type *mdev, char *buf)
{
	return sysfs_emit(buf, "%s\n", type_of(mdev)->description);
}

static int mdev_probe(struct mdev_device *mdev)
{
	struct vgpu *vgpu = vgpu_new(&mdev->dev, function_of(mdev->type));
	int result;

	if (IS_ERR(vgpu))
		return PTR_ERR(vgpu);
	dev_set_drvdata(&mdev->dev, vgpu);
	result = gpu_take(vgpu, type_of(mdev->type));
	if (result) {
		dev_err(mdev->dev.parent, "vGPU creation failed. %d\n", result);
		vfio_put_device(&vgpu->vdev);
		return result;
	}
	result = vfio_register_emulated_iommu_dev(&vgpu->vdev);
	if (result) {
		mutex_lock(&vgpu->function->gpu->lock);
		gpu_give_back(vgpu);
		mutex_unlock(&vgpu->function->gpu->lock);
		vfio_put_device(&vgpu->vdev);
	}
	return result;
}

static void mdev_remove(struct mdev_device *mdev)
{
	vgpu_end(dev_get_drvdata(&mdev->dev));
}

static ssize_t vgpu_params_show_mdev(struct device *dev, struct device_attribute *attr,
				     char *buf)
{
	return vgpu_params_show(dev_get_drvdata(dev), buf);
}

static ssize_t vgpu_params_store_mdev(struct device *dev, struct device_attribute *attr,
				      const char *buf, size_t count)
{
	return vgpu_params_store(dev_get_drvdata(dev), buf, count);
}

static struct device_attribute vgpu_params =
	__ATTR(vgpu_params, 0644, vgpu_params_show_mdev, vgpu_params_store_mdev);

static struct attribute *mdev_attrs[] = {
	&vgpu_params.attr,
	NULL,
};

static const struct attribute_group mdev_group = {
	.name = "nvidia",
	.attrs = mdev_attrs,
};

static const struct attribute_group *mdev_groups[] = {
	&mdev_group,
	NULL,
};

struct mdev_driver vgpu_mdev_driver = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.probe = mdev_probe,
	.remove = mdev_remove,
	.get_available = mdev_available,
	.show_description = mdev_description,
	.driver = {
		.name = "nvidia-vgpu-vfio",
		.owner = THIS_MODULE,
		.mod_name = KBUILD_MODNAME,
		.dev_groups = mdev_groups,
	},
};
