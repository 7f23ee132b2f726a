/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "nspawn/chown-tree.h"

/* An access control list as a file of a tree has it, behind two bytes for the range of ids. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t *acl CLEANUP_FREE = NULL;
        uid_t base;
        int r;

        if (size < 2)
                return 0;
        base = (uid_t) data[0] << 24 | (uid_t) data[1] << 16;
        data += 2;
        size -= 2;
        acl = malloc(MAX_OF(size, (size_t) 1)); /* no byte more, so that a sanitizer sees it */
        FUZZ_CHECK(acl);
        memcpy(acl, data, size);
        r = acl_shift(acl, size, base, 65536);
        FUZZ_CHECK(r == 0 || r == 1 || r == -EINVAL);
        /* Unchanged if it says so; what was shifted stays where it is. */
        FUZZ_CHECK((memcmp(acl, data, size) != 0) == (r == 1));
        FUZZ_CHECK(r < 0 || acl_shift(acl, size, base, 65536) == 0);
        /* A header of four bytes, then entries of a tag, permissions and an id. */
        for (size_t i = 4; r == 1 && i < size; i += 8) {
                FUZZ_CHECK(memcmp(acl + i, data + i, 6) == 0);
                FUZZ_CHECK(memcmp(acl + i, data + i, 8) == 0 ||
                           (acl[i + 7] == base >> 24 && acl[i + 6] == (base >> 16 & 0xff)));
        }
        return 0;
}
