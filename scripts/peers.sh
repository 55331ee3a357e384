#!/bin/sh
# Installs the Debian packages that tests and benchmarks use as peers. A peer that cannot be had is an error.
set -e
packages="postfix postfix-lmdb postfix-cdb postfix-pcre postfix-sqlite postfix-pgsql postfix-mysql postfix-ldap tinycdb lmdb-utils dovecot-core sasl2-bin libsasl2-modules db-util
 postgresql mariadb-server slapd memcached dovecot-lmtpd swaks msmtp pflogsumm strace openssl iproute2 procps python3"
missing=
for package in $packages; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
as_root=
if [ "$(id -u)" != 0 ]; then
  as_root=sudo
  command -v sudo >/dev/null || { echo "the tests need root or sudo to install:$missing" >&2; exit 1; }
fi
echo "Installing$missing ..."
$as_root apt-get update -qq
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
