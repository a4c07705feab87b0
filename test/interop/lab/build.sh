#!/bin/bash
# Builds the virtual machine that the real-peer tests boot, once per content of this folder.
#
# usage: build.sh            prints the folder that holds `vmlinux`, `initramfs` and `root.ext4`
#
# Progress goes to standard error, the folder (and nothing else) to standard output. The cache is
# ${ISTHMUS_LAB:-/var/cache/isthmus-lab}; a folder in it is named after a hash of this script and
# of the two init scripts beside it, and is renamed into place only when it is whole, so a killed
# build leaves nothing behind that a later one could take for a good image.
#
# Needs root and Debian; installs what it needs itself. README.md beside it says why each piece is
# the way it is.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${ISTHMUS_LAB:-/var/cache/isthmus-lab}

# What the tests and this script run on the host.
host_packages=(
    busybox-static cpio curl debootstrap e2fsprogs iproute2 iputils-ping kmod nftables openssl procps
    python3 qemu-system-x86 tcpdump util-linux xz-utils
)
# What the guest is made of.
guest_packages=(
    curl iproute2 iputils-ping kmod libcharon-extra-plugins libstrongswan-standard-plugins
    nftables ppp procps strongswan-charon strongswan-starter tcpdump xl2tpd
)
# Modules the initramfs needs to reach the root file system and the two shared folders.
initramfs_modules=(
    virtio_pci virtio_blk virtio_net virtio_console ext4 crc32c_generic 9p 9pnet_virtio
)
# Module folders the guest's root gets; dependencies outside of them are added by depmod's list.
root_modules=(net crypto arch/x86/crypto lib drivers/net/ppp drivers/net/tun.ko)

say() { echo "lab: $*" >&2; }
die() { say "$*"; exit 1; }

missing_packages() {
    local package
    for package in "${host_packages[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            echo "$package"
    done
}

# A freshly installed daemon must not start on the machine that runs the tests.
install_host_packages() {
    local missing ours=
    mapfile -t missing < <(missing_packages)
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        ours=yes
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
    fi
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "${missing[@]}" >&2
    if [ -n "$ours" ]; then
        rm -f /usr/sbin/policy-rc.d
        trap - EXIT
    fi
}

# The archive that this machine itself installs from: "URI CODENAME".
debian_archive() {
    local codename
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
        awk -v name="$codename" '$2 == name { print; exit }'
}

# The name of Debian's current kernel package, nothing when apt has no lists.
kernel_package() {
    apt-cache depends linux-image-amd64 2>/dev/null | awk '/Depends: linux-image/ { print $2 }'
}

# Unpacks Debian's kernel package into the folder $1 (the cloud flavour lacks ppp and l2tp_ppp).
unpack_kernel() {
    local package
    package=$(kernel_package)
    [ -n "$package" ] || { say "updating apt's lists"; apt-get update -qq >&2; }
    package=$(kernel_package)
    [ -n "$package" ] || die "no linux-image-amd64 in apt's lists; is apt-get update failing?"
    say "fetching $package"
    mkdir -p "$1/deb"
    (cd "$1/deb" && apt-get download -qq -o APT::Sandbox::User=root "$package" >&2)
    dpkg-deb -x "$1"/deb/*.deb "$1/kernel"
    rm -r "$1/deb"
    depmod -b "$1/kernel" "$(ls "$1/kernel/lib/modules")"
}

# Takes the ELF kernel out of the bzImage $1: decompressing it inside the emulator costs a second
# of every boot.
extract_vmlinux() {
    python3 - "$1" "$2" <<'PYTHON'
import lzma, struct, sys, zlib

image = open(sys.argv[1], "rb").read()
setup_sectors = image[0x1F1] or 4
offset, length = struct.unpack_from("<II", image, 0x248)
start = (setup_sectors + 1) * 512 + offset
payload = image[start:start + length]
if payload.startswith(b"\xfd7zXZ"):
    kernel = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(payload)
elif payload.startswith(b"\x1f\x8b"):
    kernel = zlib.decompressobj(31).decompress(payload)
else:
    sys.exit(f"lab: unknown kernel compression {payload[:6].hex()}")
if not kernel.startswith(b"\x7fELF"):
    sys.exit("lab: the kernel's payload is no ELF file")
open(sys.argv[2], "wb").write(kernel)
PYTHON
}

# Writes the initramfs $3 from the unpacked kernel $1, in the scratch folder $2.
make_initramfs() {
    local kernel=$1 tree=$2 version module
    version=$(ls "$kernel/lib/modules")
    mkdir -p "$tree"/{bin,dev,proc,sys,root,modules}
    cp "$(command -v busybox)" "$tree/bin/busybox"
    ln -s busybox "$tree/bin/sh"
    mknod -m 600 "$tree/dev/console" c 5 1
    for module in "${initramfs_modules[@]}"; do
        modprobe -d "$kernel" -S "$version" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$tree/modules/order.full"
    while read -r module; do
        cp "$module" "$tree/modules/"
        basename "$module"
    done <"$tree/modules/order.full" >"$tree/modules/order"
    rm "$tree/modules/order.full"
    install -m 755 "$here/initramfs-init" "$tree/init"
    (cd "$tree" && find . -print0 | cpio --null --quiet -o -H newc) >"$3"
}

# Bootstraps the guest's root into the folder $1.
make_root() {
    local archive codename include
    read -r archive codename < <(debian_archive) || die "apt knows no Debian archive"
    include=$(IFS=,; echo "${guest_packages[*]}")
    say "bootstrapping Debian $codename (about a minute)"
    debootstrap --variant=minbase --include="$include" "$codename" "$1" "$archive" \
        >"$1.log" 2>&1 || { tail -n 30 "$1.log" >&2; die "debootstrap failed"; }
    rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/* \
        "$1"/usr/share/{doc,man,locale}
    install -m 755 "$here/guest-init" "$1/sbin/lab-init"
    mkdir -p "$1/lab/scenario" "$1/lab/results"
}

# Copies the modules that the peer needs, with all they depend on, from kernel $1 to root $2.
copy_modules() {
    local version folder
    version=$(ls "$1/lib/modules")
    mkdir -p "$2/lib/modules/$version"
    (
        cd "$1/lib/modules/$version"
        for folder in "${root_modules[@]}"; do
            find "kernel/$folder" -name '*.ko'
        done | sort -u | awk '
            NR == FNR { sub(":", "", $1); needs[$1] = $0; next }
            { count = split(needs[$1], part); for (i = 1; i <= count; i++) print part[i] }
        ' modules.dep - | sed 's/:$//' | sort -u |
            cpio --quiet -pdm "$2/lib/modules/$version"
        cp modules.builtin modules.builtin.modinfo modules.order "$2/lib/modules/$version/"
    )
    depmod -b "$2" "$version"
}

build() {
    local work=$1 out=$1/out
    mkdir -p "$out"
    unpack_kernel "$work"
    say "taking the kernel out of its bzImage"
    extract_vmlinux "$work"/kernel/boot/vmlinuz-* "$out/vmlinux"
    make_initramfs "$work/kernel" "$work/initramfs" "$out/initramfs"
    make_root "$work/root"
    copy_modules "$work/kernel" "$work/root"
    say "writing the root image"
    truncate -s 1G "$out/root.ext4"
    mkfs.ext4 -q -O ^has_journal -E lazy_itable_init=1 -d "$work/root" "$out/root.ext4"
}

main() {
    local key image
    [ "$(id -u)" = 0 ] || die "must be root"
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock -n 9 || { say "waiting for another build"; flock 9; }
    install_host_packages
    key=$(cat "$here/build.sh" "$here/initramfs-init" "$here/guest-init" | sha256sum | cut -c1-16)
    image=$cache/$key
    if [ ! -d "$image" ]; then
        say "building the virtual machine into $image"
        rm -rf "$cache"/build.*
        work=$(mktemp -d "$cache/build.XXXXXX")
        trap 'rm -rf "$work"' EXIT
        build "$work"
        mv "$work/out" "$image"
        rm -rf "$work"
        trap - EXIT
        find "$cache" -mindepth 1 -maxdepth 1 -type d ! -path "$image" -mtime +7 -exec rm -rf {} +
        say "built: $(du -sh "$image" | cut -f1)"
    fi
    echo "$image"
}

main "$@"
