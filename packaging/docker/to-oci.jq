# A seccomp profile in Docker's format in, one in the OCI runtime's format out, for an unprivileged
# container on x86-64. containerd reads a pod's localhostProfile as OCI and ignores what it does not
# know: Docker's conditions ("only with CAP_SYS_ADMIN") would fall away and their rules hold for all.
del(.archMap)
| .architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
| .syscalls |= map(
    select((.includes.caps // []) == [])
    | select((.includes.arches // ["amd64"]) | index("amd64"))
    | select((.excludes.arches // []) | index("amd64") | not)
    | del(.includes, .excludes, .comment)
    | if .args == null then del(.args) else . end
  )
