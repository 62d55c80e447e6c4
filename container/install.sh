# `install.sh cpu` or `install.sh gpu`: all that an image has beside its base, the same to the bit each time.
set -eu
home=/opt/clipwarden
umask 022

python3 -m venv --without-pip $home
pip="python3 -m pip --python $home/bin/python"
$pip install --quiet --no-compile --require-hashes --only-binary :all: --requirement "container/requirements-$1.txt"
$pip install --quiet --no-compile --no-index --no-deps /wheel/*.whl
$pip check

# Commands of other packages, some of which talk to the world, and tests that packages bring along.
find $home/bin -type f ! -name clipwarden -delete
find $home/lib -type d -name tests -prune -exec rm -r {} +

# A root that is read-only can keep no byte code, so it is made here. It is checked against nothing: the usual one names
# the time of its source, which every build would change.
PYTHONHASHSEED=0 $home/bin/python -m compileall -q --invalidation-mode unchecked-hash $home/lib

install -D -m 644 "container/settings-$1.yaml" /etc/clipwarden/container.yaml
install -d -m 755 /var/cache/clipwarden
find $home /etc/clipwarden /var/cache/clipwarden -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
