# For sourcing with bash: `source script/python-tools.sh`, then `install_python_tool halmos` puts halmos on the PATH. Each tool
# has a virtual environment under cache/, with the versions and hashes pinned in script/requirements/TOOL.txt. The tool is
# reinstalled when that file changes.

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
