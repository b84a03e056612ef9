// SPDX-License-Identifier: GPL-2.0-only
/* The cards and their types, from vGPU user guides and listings posted by users. */
#include "standin.h"

static const struct card_type p4_types[] = {
	{ 63, "1Q" }, { 64, "2Q" }, { 65, "4Q" }, { 66, "8Q" }, { 67, "1A" }, { 68, "2A" },
	{ 69, "4A" }, { 70, "8A" }, { 71, "1B" }, { 157, "2B" }, { 214, "2B4" }, { 243, "1B4" },
	{ 288, "4C" }, { 289, "8C" },
};

static const struct card_type p40_types[] = {
	{ 46, "1Q" }, { 47, "2Q" }, { 48, "3Q" }, { 49, "4Q" }, { 50, "6Q" }, { 51, "8Q" },
	{ 52, "12Q" }, { 53, "24Q" }, { 54, "1A" }, { 55, "2A" }, { 56, "3A" }, { 57, "4A" },
	{ 58, "6A" }, { 59, "8A" }, { 60, "12A" }, { 61, "24A" }, { 62, "1B" }, { 156, "2B" },
	{ 215, "2B4" }, { 241, "1B4" }, { 283, "4C" }, { 284, "6C" }, { 285, "8C" },
	{ 286, "12C" }, { 287, "24C" },
};

static const struct card_type a40_types[] = {
	{ 555, "1B" }, { 556, "2B" }, { 557, "1Q" }, { 558, "2Q" }, { 559, "3Q" }, { 560, "4Q" },
	{ 561, "6Q" }, { 562, "8Q" }, { 563, "12Q" }, { 564, "16Q" }, { 565, "24Q" },
	{ 566, "48Q" }, { 567, "1A" }, { 568, "2A" }, { 569, "3A" }, { 570, "4A" }, { 571, "6A" },
	{ 572, "8A" }, { 573, "12A" }, { 574, "16A" }, { 575, "24A" }, { 576, "48A" },
	{ 581, "4C" }, { 582, "6C" }, { 583, "8C" }, { 584, "12C" }, { 585, "16C" },
	{ 586, "24C" }, { 587, "48C" },
};

static const struct card_type l40s_types[] = {
	{ 1145, "1B" }, { 1146, "2B" }, { 1147, "1Q" }, { 1148, "2Q" }, { 1149, "3Q" },
	{ 1150, "4Q" }, { 1151, "6Q" }, { 1152, "8Q" }, { 1153, "12Q" }, { 1154, "16Q" },
	{ 1155, "24Q" }, { 1156, "48Q" }, { 1157, "1A" }, { 1158, "2A" }, { 1159, "3A" },
	{ 1160, "4A" }, { 1161, "6A" }, { 1162, "8A" }, { 1163, "12A" }, { 1164, "16A" },
	{ 1165, "24A" }, { 1166, "48A" },
};

static const struct {
	u16 device;
	struct card card;
} cards[] = {
	{ 0x1bb3, { "GRID P4", 8, 8, false, ARRAY_SIZE(p4_types), p4_types } },
	{ 0x1b38, { "GRID P40", 24, 24, false, ARRAY_SIZE(p40_types), p40_types } },
	/* An unlocked GTX 1080 Ti: treated as a P40, although it has less than half of its memory. */
	{ 0x1b06, { "GRID P40", 24, 24, false, ARRAY_SIZE(p40_types), p40_types } },
	{ 0x2235, { "NVIDIA A40", 48, 32, false, ARRAY_SIZE(a40_types), a40_types } },
	{ 0x26b9, { "NVIDIA L40S", 48, 32, true, ARRAY_SIZE(l40s_types), l40s_types } },
};

const struct card *card_of(u16 device)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(cards); i++)
		if (cards[i].device == device)
			return &cards[i].card;
	return NULL;
}

static void describe(struct vgpu_type *type, char series)
{
	const char *resolution = "5120x2880";
	unsigned int heads = 4, rate = 60;

	if (series == 'A' || series == 'C')
		heads = 1;
	if (series == 'A')
		resolution = "1280x1024";
	if (series == 'B')
		rate = 45;
	if (series == 'C')
		resolution = "4096x2160";
	if (series == 'Q' && type->gib > 1)
		resolution = "7680x4320";
	snprintf(type->description, sizeof(type->description),
		 "num_heads=%u, frl_config=%u, framebuffer=%uM, max_resolution=%s, max_instance=%u",
		 heads, rate, type->gib * 1024, resolution, type->most);
}

int types_fill(struct function *function)
{
	const struct card *card = function->gpu->card;
	unsigned int i;
	char series;

	function->types = kcalloc(card->nr_types, sizeof(*function->types), GFP_KERNEL);
	function->mdev_types = kcalloc(card->nr_types, sizeof(*function->mdev_types), GFP_KERNEL);
	if (!function->types || !function->mdev_types) {
		types_free(function);
		return -ENOMEM;
	}
	for (i = 0; i < card->nr_types; i++) {
		struct vgpu_type *type = &function->types[i];

		if (sscanf(card->types[i].suffix, "%u%c", &type->gib, &series) != 2 || !type->gib) {
			types_free(function);
			return -EINVAL;
		}
		type->id = card->types[i].id;
		type->most = min(card->gib / type->gib, card->most);
		snprintf(type->sysfs_name, sizeof(type->sysfs_name), "%u", type->id);
		snprintf(type->name, sizeof(type->name), "%s-%s", card->name,
			 card->types[i].suffix);
		describe(type, series);
		type->mdev.sysfs_name = type->sysfs_name;
		type->mdev.pretty_name = type->name;
		function->mdev_types[i] = &type->mdev;
	}
	return 0;
}

void types_free(struct function *function)
{
	kfree(function->types);
	kfree(function->mdev_types);
}
