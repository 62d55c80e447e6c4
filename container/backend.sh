# What builds the wheel, in a folder of its own, from packages whose hashes are known.
set -eu
python3 -m venv --without-pip /build/backend
python3 -m pip --python /build/backend/bin/python install --quiet --require-hashes --only-binary :all: \
  --requirement container/requirements-build.txt
