// SPDX-License-Identifier: GPL-2.0-only
/* The PCI driver: probes GPUs and VFs, enables and disables VFs, publishes types. */
#include <linux/module.h>
#include <linux/slab.h>

#include "standin.h"

static char *framework = "mdev";
module_param(framework, charp, 0444);
MODULE_PARM_DESC(framework, "what VFs have: mdev, or vfio (vendor-specific); a GPU without VFs always has mdev");
static int types_after_ms;
module_param(types_after_ms, int, 0444);
MODULE_PARM_DESC(types_after_ms, "how long after a GPU is bound its types are there; -1: when asked by publish");
static bool raw_numvfs;
module_param(raw_numvfs, bool, 0644);
MODULE_PARM_DESC(raw_numvfs, "sriov_numvfs can be written; otherwise only sriov-manage enables VFs");

static LIST_HEAD(gpus);
static DEFINE_MUTEX(gpus_lock);

static bool vendor_specific(const struct function *function)
{
	return function->pdev->is_virtfn && !strcmp(framework, "vfio");
}

/* gpu->publish_lock is held. */
static int parent_start(struct function *function)
{
	int result;

	if (vendor_specific(function) || function->registered)
		return 0;
	result = mdev_register_parent(&function->parent, &function->pdev->dev, &vgpu_mdev_driver,
				      function->mdev_types, function->gpu->card->nr_types);
	function->registered = !result;
	return result;
}

static void publish(struct gpu *gpu)
{
	struct function *function;

	mutex_lock(&gpu->publish_lock);
	mutex_lock(&gpu->lock);
	gpu->published = true;
	mutex_unlock(&gpu->lock);
	list_for_each_entry(function, &gpu->functions, node)
		if (parent_start(function))
			dev_err(&function->pdev->dev, "cannot be a parent\n");
	mutex_unlock(&gpu->publish_lock);
}

static void publish_work(struct work_struct *work)
{
	publish(container_of(to_delayed_work(work), struct gpu, publish));
}

/* Simulates nvidia-vgpud: echo 1 >/sys/module/nvidia/parameters/publish. */
static int publish_all(const char *value, const struct kernel_param *param)
{
	struct gpu *gpu;

	mutex_lock(&gpus_lock);
	list_for_each_entry(gpu, &gpus, node)
		publish(gpu);
	mutex_unlock(&gpus_lock);
	return 0;
}

static const struct kernel_param_ops publish_ops = { .set = publish_all };
module_param_cb(publish, &publish_ops, NULL, 0200);
MODULE_PARM_DESC(publish, "write anything: every GPU's types are there from now on");

/* Simulates nvidia-smi vgpu -shm: echo "0001:81:00.0 1" >/sys/module/nvidia/parameters/mixed_sizes. */
static int mixed_sizes_set(const char *value, const struct kernel_param *param)
{
	int result = -ENODEV;
	unsigned int mix;
	struct gpu *gpu;
	char name[32];

	if (sscanf(value, "%31s %u", name, &mix) != 2 || mix > 1)
		return -EINVAL;
	mutex_lock(&gpus_lock);
	list_for_each_entry(gpu, &gpus, node)
		if (!strcmp(pci_name(gpu->pdev), name))
			result = gpu_mix_sizes(gpu, mix);
	mutex_unlock(&gpus_lock);
	return result;
}

static int mixed_sizes_get(char *buf, const struct kernel_param *param)
{
	struct gpu *gpu;
	int length = 0;

	mutex_lock(&gpus_lock);
	list_for_each_entry(gpu, &gpus, node)
		if (READ_ONCE(gpu->mixes_sizes))
			length += sysfs_emit_at(buf, length, "%s\n", pci_name(gpu->pdev));
	mutex_unlock(&gpus_lock);
	return length;
}

static const struct kernel_param_ops mixed_sizes_ops = {
	.set = mixed_sizes_set,
	.get = mixed_sizes_get,
};
module_param_cb(mixed_sizes, &mixed_sizes_ops, NULL, 0644);
MODULE_PARM_DESC(mixed_sizes, "GPUs with vGPUs of several sizes; write an address and 1 or 0");

static int function_add(struct gpu *gpu, struct pci_dev *pdev)
{
	struct function *function = kzalloc(sizeof(*function), GFP_KERNEL);
	int result;

	if (!function)
		return -ENOMEM;
	function->gpu = gpu;
	function->pdev = pdev;
	result = types_fill(function);
	if (result)
		goto free;
	pci_set_drvdata(pdev, function);
	mutex_lock(&gpu->publish_lock);
	if (vendor_specific(function))
		result = vf_start(function);
	else if (gpu->published)
		result = parent_start(function);
	if (!result)
		list_add_tail(&function->node, &gpu->functions);
	mutex_unlock(&gpu->publish_lock);
	if (!result)
		return 0;
	types_free(function);
free:
	kfree(function);
	return result;
}

static void function_remove(struct function *function)
{
	struct gpu *gpu = function->gpu;

	mutex_lock(&gpu->publish_lock);
	list_del(&function->node);
	mutex_unlock(&gpu->publish_lock);
	if (vendor_specific(function))
		vf_stop(function);
	else if (function->registered)
		mdev_unregister_parent(&function->parent);
	types_free(function);
	kfree(function);
}

static int gpu_add(struct pci_dev *pdev, const struct card *card)
{
	struct gpu *gpu = kzalloc(sizeof(*gpu), GFP_KERNEL);
	int result;

	if (!gpu)
		return -ENOMEM;
	gpu->pdev = pdev;
	gpu->card = card;
	INIT_LIST_HEAD(&gpu->functions);
	mutex_init(&gpu->publish_lock);
	mutex_init(&gpu->creating);
	mutex_init(&gpu->lock);
	INIT_DELAYED_WORK(&gpu->publish, publish_work);
	pci_set_drvdata(pdev, gpu);
	if (!pdev->is_physfn) {
		result = function_add(gpu, pdev);
		if (result) {
			kfree(gpu);
			return result;
		}
	}
	mutex_lock(&gpus_lock);
	list_add_tail(&gpu->node, &gpus);
	mutex_unlock(&gpus_lock);
	if (!types_after_ms)
		publish(gpu);
	else if (types_after_ms > 0)
		schedule_delayed_work(&gpu->publish, msecs_to_jiffies(types_after_ms));
	return 0;
}

static void gpu_remove(struct gpu *gpu)
{
	mutex_lock(&gpus_lock);
	list_del(&gpu->node);
	mutex_unlock(&gpus_lock);
	cancel_delayed_work_sync(&gpu->publish);
	pci_disable_sriov(gpu->pdev);
	kfree(gpu);
}

static struct pci_driver nvidia_driver;

static int nvidia_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	const struct card *card = card_of(pdev->device);

	if (!card)
		return -ENODEV;
	if (!pdev->is_virtfn)
		return gpu_add(pdev, card);
	if (pdev->physfn->driver != &nvidia_driver)
		return -ENODEV;
	return function_add(pci_get_drvdata(pdev->physfn), pdev);
}

static void nvidia_remove(struct pci_dev *pdev)
{
	struct function *function = pci_get_drvdata(pdev);

	if (pdev->is_physfn) {
		gpu_remove(pci_get_drvdata(pdev));
	} else if (pdev->is_virtfn) {
		function_remove(function);
	} else {
		struct gpu *gpu = function->gpu;

		/* Types that are published later would need the function. */
		cancel_delayed_work_sync(&gpu->publish);
		function_remove(function);
		gpu_remove(gpu);
	}
}

static int nvidia_sriov_configure(struct pci_dev *pdev, int vfs)
{
	int result;

	if (!raw_numvfs)
		return -ENOENT; /* the kernel's error for a driver that does not support it */
	gpu_forget_mode(pci_get_drvdata(pdev));
	if (!vfs) {
		pci_disable_sriov(pdev);
		return 0;
	}
	result = pci_enable_sriov(pdev, vfs);
	return result ?: vfs;
}

static const struct pci_device_id nvidia_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_NVIDIA, PCI_ANY_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, nvidia_ids);

static struct pci_driver nvidia_driver = {
	.name = "nvidia",
	.id_table = nvidia_ids,
	.probe = nvidia_probe,
	.remove = nvidia_remove,
	.sriov_configure = nvidia_sriov_configure,
};

static int __init nvidia_init(void)
{
	int result;

	if (strcmp(framework, "mdev") && strcmp(framework, "vfio"))
		return -EINVAL;
	result = mdev_register_driver(&vgpu_mdev_driver);
	if (result)
		return result;
	result = pci_register_driver(&nvidia_driver);
	if (result)
		mdev_unregister_driver(&vgpu_mdev_driver);
	return result;
}

static void __exit nvidia_exit(void)
{
	pci_unregister_driver(&nvidia_driver);
	mdev_unregister_driver(&vgpu_mdev_driver);
}

module_init(nvidia_init);
module_exit(nvidia_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A stand-in for NVIDIA's vGPU host driver, for tests");
