// SPDX-License-Identifier: GPL-2.0-only
/*
 * Simulated NVIDIA GPUs: each on its own PCI root bus, whose configuration space is
 * in memory. To the kernel, udev and lspci they look like real ones; their driver is
 * nvidia.ko, the other module here.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

#define FIRST_BUS 0x81
#define MOST_GPUS 16
#define EXPRESS 0x40	/* offset of the PCI Express capability */
#define SRIOV 0x100	/* offset of the SR-IOV capability */
#define VF_OFFSET 4	/* function number of the first VF, as on NVIDIA's cards: 81:00.4 */
#define HDA 0x488	/* bit 25: the audio function is enabled; otherwise the kernel enables it */

static char *cards[MOST_GPUS] = { "p4", "p4", "p40", "gtx1080ti", "l40s" };
static int nr_cards = 5;
module_param_array(cards, charp, &nr_cards, 0444);
MODULE_PARM_DESC(cards, "p4, p40, gtx1080ti, a40, l40s: one GPU each, on buses 81, 82 ...");
static int domain = 1;
module_param(domain, int, 0444);
MODULE_PARM_DESC(domain, "PCI domain; the machine's own devices are in 0");
static ushort vfs = 32;
module_param(vfs, ushort, 0444);
MODULE_PARM_DESC(vfs, "most VFs of a GPU that has them");

struct model {
	const char *key;
	u16 device;
	u16 subsystem;
	u32 class;
	bool sriov;
};

static const struct model models[] = {
	{ "p4", 0x1bb3, 0x11d8, 0x030200, false },
	{ "p40", 0x1b38, 0x11d9, 0x030200, false },
	{ "gtx1080ti", 0x1b06, 0x120f, 0x030000, false },
	{ "a40", 0x2235, 0x145a, 0x030200, true },
	{ "l40s", 0x26b9, 0x1851, 0x030200, true },
};

struct gpu {
	struct pci_sysdata sysdata;
	struct resource busn;
	struct pci_bus *bus;
	u8 pf[PCI_CFG_SPACE_EXP_SIZE];
	u8 vf[PCI_CFG_SPACE_EXP_SIZE];	/* the same for every VF */
};

static struct gpu *gpus[MOST_GPUS];

static u16 word_at(const u8 *config, int where)
{
	return le16_to_cpup((__le16 *)(config + where));
}

static void put(u8 *config, int where, int size, u32 value)
{
	__le32 bytes = cpu_to_le32(value);

	memcpy(config + where, &bytes, size);
}

static u8 *config_of(struct pci_bus *bus, unsigned int devfn)
{
	struct gpu *gpu = container_of((struct pci_sysdata *)bus->sysdata, struct gpu, sysdata);

	if (!devfn)
		return gpu->pf;
	if (!(word_at(gpu->pf, SRIOV + PCI_SRIOV_CTRL) & PCI_SRIOV_CTRL_VFE))
		return NULL;
	if (devfn < VF_OFFSET ||
	    devfn - VF_OFFSET >= word_at(gpu->pf, SRIOV + PCI_SRIOV_NUM_VF))
		return NULL;
	return gpu->vf;
}

static int config_read(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 *value)
{
	const u8 *config = config_of(bus, devfn);
	__le32 bytes = 0;

	if (!config) {
		PCI_SET_ERROR_RESPONSE(value);
		return PCIBIOS_DEVICE_NOT_FOUND;
	}
	if (where + size > PCI_CFG_SPACE_EXP_SIZE)
		return PCIBIOS_BAD_REGISTER_NUMBER;
	memcpy(&bytes, config + where, size);
	*value = le32_to_cpu(bytes);
	return PCIBIOS_SUCCESSFUL;
}

static int config_write(struct pci_bus *bus, unsigned int devfn, int where, int size, u32 value)
{
	u8 *config = config_of(bus, devfn);

	if (!config)
		return PCIBIOS_DEVICE_NOT_FOUND;
	/* Everything else is read-only, so there are no BARs. */
	if (devfn)
		return PCIBIOS_SUCCESSFUL;
	if (where == PCI_COMMAND || where == SRIOV + PCI_SRIOV_CTRL ||
	    where == SRIOV + PCI_SRIOV_NUM_VF || where == SRIOV + PCI_SRIOV_SYS_PGSIZE)
		put(config, where, size, value);
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops config_ops = {
	.read = config_read,
	.write = config_write,
};

static void fill_function(u8 *config, const struct model *model)
{
	put(config, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
	put(config, PCI_CLASS_REVISION, 4, model->class << 8 | 0xa1);
	put(config, PCI_SUBSYSTEM_VENDOR_ID, 2, PCI_VENDOR_ID_NVIDIA);
	put(config, PCI_SUBSYSTEM_ID, 2, model->subsystem);
	put(config, PCI_CAPABILITY_LIST, 1, EXPRESS);
	put(config, EXPRESS, 2, PCI_CAP_ID_EXP);
	put(config, EXPRESS + PCI_EXP_FLAGS, 2, 2 | PCI_EXP_TYPE_ENDPOINT << 4);
	put(config, EXPRESS + PCI_EXP_LNKCAP, 4, PCI_EXP_LNKCAP_SLS_8_0GB | 16 << 4);
	put(config, EXPRESS + PCI_EXP_LNKSTA, 2, PCI_EXP_LNKSTA_CLS_8_0GB | 16 << 4);
	put(config, HDA, 4, BIT(25));
}

static void fill(struct gpu *gpu, const struct model *model)
{
	u8 *sriov = gpu->pf + SRIOV;

	fill_function(gpu->pf, model);
	put(gpu->pf, PCI_VENDOR_ID, 2, PCI_VENDOR_ID_NVIDIA);
	put(gpu->pf, PCI_DEVICE_ID, 2, model->device);
	if (!model->sriov)
		return;
	put(sriov, 0, 4, PCI_EXT_CAP_ID_SRIOV | 1 << 16);
	put(sriov, PCI_SRIOV_INITIAL_VF, 2, vfs);
	put(sriov, PCI_SRIOV_TOTAL_VF, 2, vfs);
	put(sriov, PCI_SRIOV_VF_OFFSET, 2, VF_OFFSET);
	put(sriov, PCI_SRIOV_VF_STRIDE, 2, 1);
	put(sriov, PCI_SRIOV_VF_DID, 2, model->device);
	put(sriov, PCI_SRIOV_SUP_PGSIZE, 4, 1);
	/* A VF has no ids in its configuration space; the kernel takes them from its PF. */
	fill_function(gpu->vf, model);
	put(gpu->vf, PCI_VENDOR_ID, 4, 0xffffffff);
}

static int plug(int slot, const struct model *model)
{
	struct gpu *gpu = kzalloc(sizeof(*gpu), GFP_KERNEL);
	LIST_HEAD(resources);

	if (!gpu)
		return -ENOMEM;
	fill(gpu, model);
	gpu->sysdata.domain = domain;
	gpu->sysdata.node = NUMA_NO_NODE;
	gpu->busn.name = "fake GPU";
	gpu->busn.start = FIRST_BUS + slot;
	gpu->busn.end = FIRST_BUS + slot;
	gpu->busn.flags = IORESOURCE_BUS;
	pci_add_resource(&resources, &gpu->busn);
	gpu->bus = pci_create_root_bus(NULL, FIRST_BUS + slot, &config_ops, &gpu->sysdata,
				       &resources);
	if (!gpu->bus) {
		pci_free_resource_list(&resources);
		kfree(gpu);
		return -ENODEV;
	}
	gpus[slot] = gpu;
	pci_lock_rescan_remove();
	pci_scan_child_bus(gpu->bus);
	pci_bus_add_devices(gpu->bus);
	pci_unlock_rescan_remove();
	return 0;
}

static void unplug_all(void)
{
	int slot;

	for (slot = 0; slot < MOST_GPUS; slot++) {
		if (!gpus[slot])
			continue;
		pci_lock_rescan_remove();
		pci_stop_root_bus(gpus[slot]->bus);
		pci_remove_root_bus(gpus[slot]->bus);
		pci_unlock_rescan_remove();
		kfree(gpus[slot]);
	}
}

static const struct model *model_of(const char *key)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(models); i++)
		if (!strcmp(models[i].key, key))
			return &models[i];
	return NULL;
}

static int __init fake_gpus_init(void)
{
	int slot, result;

	if (!vfs || vfs > 128)
		return -EINVAL;
	for (slot = 0; slot < nr_cards; slot++) {
		const struct model *model = model_of(cards[slot]);

		result = model ? plug(slot, model) : -EINVAL;
		if (result) {
			pr_err("fake_gpus: cards: '%s' does not work: %d\n", cards[slot], result);
			unplug_all();
			return result;
		}
	}
	return 0;
}

module_init(fake_gpus_init);
module_exit(unplug_all);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("NVIDIA GPUs that are not there, for tests");
