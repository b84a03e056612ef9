// SPDX-License-Identifier: GPL-2.0-only
/* The vendor-specific framework: a VF has a vGPU if its nvidia/current_vgpu_type is not 0. */
#include <linux/module.h>

#include "standin.h"

static uint plugin_exit_ms = 5000;
module_param(plugin_exit_ms, uint, 0644);
MODULE_PARM_DESC(plugin_exit_ms, "how long a VF stays busy after it was closed");
static bool header = true;
module_param(header, bool, 0644);
MODULE_PARM_DESC(header, "creatable_vgpu_types starts with a line of headings; some releases have none");

static struct vgpu *vgpu_at(struct device *dev)
{
	struct function *function = dev_get_drvdata(dev);

	return function->vgpu;
}

static struct mutex *lock_of(struct vgpu *vgpu)
{
	return &vgpu->function->gpu->lock;
}

static ssize_t creatable_vgpu_types_show(struct device *dev, struct device_attribute *attr,
					 char *buf)
{
	struct function *function = dev_get_drvdata(dev);
	int i, length = 0;

	if (header)
		length = sysfs_emit(buf, "ID    : vGPU Name\n");
	for (i = 0; i < function->gpu->card->nr_types; i++) {
		const struct vgpu_type *type = &function->types[i];

		if (gpu_available(function, type))
			length += sysfs_emit_at(buf, length, "%-5u : %s\n", type->id, type->name);
	}
	return length;
}
static DEVICE_ATTR_RO(creatable_vgpu_types);

static ssize_t current_vgpu_type_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct vgpu *vgpu = vgpu_at(dev);
	u32 id;

	mutex_lock(lock_of(vgpu));
	id = vgpu->type ? vgpu->type->id : 0;
	mutex_unlock(lock_of(vgpu));
	return sysfs_emit(buf, "%u\n", id);
}

static bool plugin_is_leaving(const struct vgpu *vgpu)
{
	return vgpu->was_open &&
	       time_before(jiffies, vgpu->closed + msecs_to_jiffies(plugin_exit_ms));
}

static int unset_type(struct vgpu *vgpu)
{
	int result = 0;

	mutex_lock(lock_of(vgpu));
	if (!vgpu->type || vgpu->open)
		result = -EPERM;
	else if (plugin_is_leaving(vgpu))
		result = -EBUSY;
	else
		gpu_give_back(vgpu);
	if (!result) {
		vgpu->was_open = false;
		vgpu->params[0] = '\0';
		vgpu->wanted_placement = -1;
	}
	mutex_unlock(lock_of(vgpu));
	return result;
}

static int set_type(struct vgpu *vgpu, u32 id)
{
	struct function *function = vgpu->function;
	bool taken;
	int i;

	mutex_lock(lock_of(vgpu));
	taken = vgpu->type;
	mutex_unlock(lock_of(vgpu));
	if (taken)
		return -EPERM;
	for (i = 0; i < function->gpu->card->nr_types; i++)
		if (function->types[i].id == id)
			return gpu_take(vgpu, &function->types[i]);
	return -EIO;
}

static ssize_t current_vgpu_type_store(struct device *dev, struct device_attribute *attr,
				       const char *buf, size_t count)
{
	struct vgpu *vgpu = vgpu_at(dev);
	int result;
	u32 id;

	if (kstrtou32(buf, 0, &id))
		return -EINVAL;
	result = id ? set_type(vgpu, id) : unset_type(vgpu);
	if (result == -EIO)
		dev_err(dev, "vGPU creation failed. %d\n", result);
	return result ?: count;
}
static DEVICE_ATTR_RW(current_vgpu_type);

static ssize_t vf_params_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return vgpu_params_show(vgpu_at(dev), buf);
}

static ssize_t vf_params_store(struct device *dev, struct device_attribute *attr,
			       const char *buf, size_t count)
{
	return vgpu_params_store(vgpu_at(dev), buf, count);
}

static struct device_attribute dev_attr_vgpu_params =
	__ATTR(vgpu_params, 0644, vf_params_show, vf_params_store);

/* The placement of the vGPU on the GPU; cannot be read before it exists. */
static ssize_t placement_id_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct vgpu *vgpu = vgpu_at(dev);
	int placement = -ENXIO;

	mutex_lock(lock_of(vgpu));
	if (vgpu->type)
		placement = vgpu->placement;
	mutex_unlock(lock_of(vgpu));
	return placement < 0 ? placement : sysfs_emit(buf, "%d\n", placement);
}

static ssize_t placement_id_store(struct device *dev, struct device_attribute *attr,
				  const char *buf, size_t count)
{
	struct vgpu *vgpu = vgpu_at(dev);
	ssize_t result = count;
	u16 placement;

	if (kstrtou16(buf, 0, &placement))
		return -EINVAL;
	mutex_lock(lock_of(vgpu));
	if (vgpu->type)
		result = -EPERM;
	else
		vgpu->wanted_placement = placement;
	mutex_unlock(lock_of(vgpu));
	return result;
}
static DEVICE_ATTR_RW(placement_id);

/* MIG is not simulated, so there is no GPU instance to read or select. */
static ssize_t gpu_instance_id_show(struct device *dev, struct device_attribute *attr,
				    char *buf)
{
	return -ENXIO;
}

static ssize_t gpu_instance_id_store(struct device *dev, struct device_attribute *attr,
				     const char *buf, size_t count)
{
	return -EINVAL;
}
static DEVICE_ATTR_RW(gpu_instance_id);

static ssize_t warm_update_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", vgpu_at(dev)->warm_update);
}

static ssize_t warm_update_store(struct device *dev, struct device_attribute *attr,
				 const char *buf, size_t count)
{
	return kstrtobool(buf, &vgpu_at(dev)->warm_update) ?: count;
}
static DEVICE_ATTR_RW(warm_update);

static struct attribute *vf_attrs[] = {
	&dev_attr_creatable_vgpu_types.attr,
	&dev_attr_current_vgpu_type.attr,
	&dev_attr_vgpu_params.attr,
	&dev_attr_placement_id.attr,
	&dev_attr_gpu_instance_id.attr,
	&dev_attr_warm_update.attr,
	NULL,
};

static const struct attribute_group vf_group = {
	.name = "nvidia",
	.attrs = vf_attrs,
};

int vf_start(struct function *function)
{
	struct device *dev = &function->pdev->dev;
	struct vgpu *vgpu = vgpu_new(dev, function);
	int result;

	if (IS_ERR(vgpu))
		return PTR_ERR(vgpu);
	function->vgpu = vgpu;
	result = vfio_register_emulated_iommu_dev(&vgpu->vdev);
	if (result) {
		vfio_put_device(&vgpu->vdev);
		return result;
	}
	result = sysfs_create_group(&dev->kobj, &vf_group);
	if (result)
		vgpu_end(vgpu);
	return result;
}

void vf_stop(struct function *function)
{
	sysfs_remove_group(&function->pdev->dev.kobj, &vf_group);
	vgpu_end(function->vgpu);
}
