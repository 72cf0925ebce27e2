#!/bin/sh
# Solves one query (an SMT-LIB file) for script/prove.sh: with yices, or with z3 if yices gives no answer within 10 seconds.
# The limit is CPU time, so the machine's load does not change the answer.
answer=$(ulimit -t 10; yices-smt2 --smt2-model-format --bvconst-in-decimal "$1")
case $answer in
  sat* | unsat*) echo "$answer" ;;
  *) exec z3 "$1" ;;
esac
