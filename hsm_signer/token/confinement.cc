#include "hsm_signer/token/confinement.h"

#include <link.h>

#include <filesystem>

namespace hsm::token {
namespace {

using confine::Calls;

// The first object is the program. Its PT_INTERP names the loader that the kernel starts with it.
int find_loader(dl_phdr_info* info, std::size_t, void* found) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    if (header.p_type != PT_INTERP) continue;
    *static_cast<std::string*>(found) =
        reinterpret_cast<const char*>(info->dlpi_addr + header.p_vaddr);
  }
  return 1;  // No further object.
}

std::vector<Calls> calls_of_worker(const Profile& profile) {
  std::vector<Calls> calls{Calls::core,   Calls::files,   Calls::local_sockets,
                           Calls::timers, Calls::further, Calls::new_code};
  if (profile.needs.network) calls.push_back(Calls::network);
  if (profile.needs.hardware) calls.push_back(Calls::hardware);
  return calls;
}

// What a module reads is its own affair: what could be worth reading to who takes a worker over,
// the worker has. What it writes can be named only by who knows the token.
void limit_writes(const Config& config, Role role, confine::Paths& paths) {
  paths.limit_reads = false;
  paths.limit_writes = config.module_writes.has_value();
  if (!paths.limit_writes) return;
  paths.write = *config.module_writes;
  paths.write.push_back(config.state_dir);
  paths.devices = {"/dev/null"};
  if (role != Role::admin) return;
  // Where the public halves of the token's own keys are published.
  paths.write.push_back(directory_of(config.wrap_public));
  paths.write.push_back(directory_of(config.audit_public));
}

}  // namespace

confine::Violation violation_of(const Config& config) {
  return config.mode == Mode::development ? confine::Violation::loud : confine::Violation::fatal;
}

confine::Confinement confinement_of_worker(const Config& config, Role role) {
  confine::Confinement confinement;
  confinement.calls = calls_of_worker(*config.profile);
  limit_writes(config, role, confinement.paths);
  confinement.violation = violation_of(config);
  confinement.announce = false;  // Workers come and go; the supervisor says it for all.
  return confinement;
}

Result<confine::Confinement> confinement_of_supervisor(const Config& config) {
  confine::Confinement confinement = confinement_of_worker(config, Role::admin);
  confinement.calls.push_back(Calls::start);
  confinement.calls.push_back(Calls::processes);
  confinement.announce = true;
  confine::Paths& paths = confinement.paths;
  paths.sockets = {directory_of(config.socket), directory_of(config.admin_socket)};
  std::string loader;
  ::dl_iterate_phdr(find_loader, &loader);
  if (loader.empty()) return fail(Code::internal, "this program names no loader", "PT_INTERP");
  paths.execute = {"/proc/self/exe", loader};
  return confinement;
}

}  // namespace hsm::token
