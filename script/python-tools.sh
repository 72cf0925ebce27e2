# To be sourced, by bash, anywhere: `source script/python-tools.sh`, then `install_python_tool halmos`, which puts halmos on the
# PATH: in a virtual environment of its own under cache/, of the versions and hashes in script/requirements/halmos.txt. It is
# installed again when that file changes.

install_python_tool() { # name
  local root requirements environment
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  requirements=$root/script/requirements/$1.txt
  environment=$root/cache/python/$1
  if ! cmp -s "$requirements" "$environment/installed.txt"; then
    rm -rf "$environment"
    python3 -m venv "$environment" || return 1
    "$environment/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$requirements" || return 1
    cp "$requirements" "$environment/installed.txt"
  fi
  PATH="$environment/bin:$PATH"
  export PATH
}
