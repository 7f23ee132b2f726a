/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/families.h"

#include <errno.h>
#include <sys/socket.h>

static const struct {
        const char *name;
        unsigned number;
} families[] = {
        { "AF_UNSPEC", AF_UNSPEC },
        { "AF_UNIX", AF_UNIX },
        { "AF_INET", AF_INET },
        { "AF_AX25", AF_AX25 },
        { "AF_IPX", AF_IPX },
        { "AF_APPLETALK", AF_APPLETALK },
        { "AF_NETROM", AF_NETROM },
        { "AF_BRIDGE", AF_BRIDGE },
        { "AF_ATMPVC", AF_ATMPVC },
        { "AF_X25", AF_X25 },
        { "AF_INET6", AF_INET6 },
        { "AF_ROSE", AF_ROSE },
        { "AF_DECnet", AF_DECnet },
        { "AF_NETBEUI", AF_NETBEUI },
        { "AF_SECURITY", AF_SECURITY },
        { "AF_KEY", AF_KEY },
        { "AF_NETLINK", AF_NETLINK },
        { "AF_PACKET", AF_PACKET },
        { "AF_ASH", AF_ASH },
        { "AF_ECONET", AF_ECONET },
        { "AF_ATMSVC", AF_ATMSVC },
        { "AF_RDS", AF_RDS },
        { "AF_SNA", AF_SNA },
        { "AF_IRDA", AF_IRDA },
        { "AF_PPPOX", AF_PPPOX },
        { "AF_WANPIPE", AF_WANPIPE },
        { "AF_LLC", AF_LLC },
        { "AF_IB", AF_IB },
        { "AF_MPLS", AF_MPLS },
        { "AF_CAN", AF_CAN },
        { "AF_TIPC", AF_TIPC },
        { "AF_BLUETOOTH", AF_BLUETOOTH },
        { "AF_IUCV", AF_IUCV },
        { "AF_RXRPC", AF_RXRPC },
        { "AF_ISDN", AF_ISDN },
        { "AF_PHONET", AF_PHONET },
        { "AF_IEEE802154", AF_IEEE802154 },
        { "AF_CAIF", AF_CAIF },
        { "AF_ALG", AF_ALG },
        { "AF_NFC", AF_NFC },
        { "AF_VSOCK", AF_VSOCK },
        { "AF_KCM", AF_KCM },
        { "AF_QIPCRTR", AF_QIPCRTR },
        { "AF_SMC", AF_SMC },
        { "AF_XDP", AF_XDP },
        /* Other names. */
        { "AF_LOCAL", AF_LOCAL },
        { "AF_FILE", AF_FILE },
        { "AF_ROUTE", AF_ROUTE },
};

int family_from_name(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(families); i++)
                if (streq(families[i].name, name))
                        return (int) families[i].number;
        return -EINVAL;
}

const char *family_name(size_t i)
{
        return i < ARRAY_SIZE(families) ? families[i].name : NULL;
}

int family_set_add(struct family_set *set, const char *word)
{
        bool deny = word[0] == '~';
        int number = family_from_name(word + deny);

        if (number < 0)
                return number;
        set->restricts = true;
        set->only_listed |= !deny;
        *(deny ? &set->denied : &set->allowed) |= UINT64_C(1) << number;
        return 0;
}

bool family_set_allows(const struct family_set *set, unsigned family)
{
        uint64_t bit = family < FAMILIES_MAX ? UINT64_C(1) << family : 0;

        return !(set->denied & bit) && (!set->only_listed || set->allowed & bit);
}
