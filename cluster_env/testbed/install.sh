#!/bin/bash
# Install the Debian packages the testbed needs (about 60 MB on disk). Does nothing when all are there.
# None of their services is started, now or at boot: the testbed runs its own daemons, and packages that are
# already installed, with whatever they run, stay as they are.
set -euo pipefail

readonly packages=(munge slurmctld slurmd slurm-client slurmdbd mariadb-server-core lmod)
readonly services=(munge slurmctld slurmd slurmdbd)
readonly policy=/usr/sbin/policy-rc.d # Debian asks this script before it starts any service; 101 means no
readonly saved=$policy.before-testbed

die() {
    echo "testbed: $*" >&2
    exit 1
}

installed() { [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

forbid_service_starts() {
    [[ -e $saved || ! -e $policy ]] || mv "$policy" "$saved"
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

allow_service_starts() {
    rm -f "$policy"
    [[ ! -e $saved ]] || mv "$saved" "$policy"
}

# A fresh machine's package lists are empty or old, so a first failure is tried again with new ones.
install_packages() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get install --yes --quiet --no-install-recommends "$@" && return
    apt-get update --quiet
    apt-get install --yes --quiet --no-install-recommends "$@"
}

disable_services() {
    local service
    [[ -d /run/systemd/system ]] || return 0
    for service in "${services[@]}"; do
        [[ " $* " != *" $service "* ]] || systemctl disable --quiet "$service"
    done
}

command -v apt-get >/dev/null || die "install.sh knows Debian and Ubuntu only; install ${packages[*]} by hand"
missing=()
for package in "${packages[@]}"; do
    installed "$package" || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
    echo "testbed: all packages are installed"
    exit 0
fi
((EUID == 0)) || die "missing packages: ${missing[*]}; run this once as root: sudo $0"
trap allow_service_starts EXIT
forbid_service_starts
install_packages "${missing[@]}"
disable_services "${missing[@]}"
