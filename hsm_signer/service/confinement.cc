#include "hsm_signer/service/confinement.h"

#include "hsm_signer/base/os.h"

namespace hsm::service {

confine::Confinement confinement_of(const SignerConfig& config) {
  using confine::Calls;
  confine::Confinement confinement;
  confinement.calls = {Calls::core, Calls::files, Calls::local_sockets};
  confine::Paths& paths = confinement.paths;
  paths.read = confine::common_reads();
  // The directory: the token host may yet make the key, and makes it by renaming.
  paths.read.push_back(directory_of(config.audit_key));
  // For a reload: the directory, since who edits a policy renames the new one over the old. Names
  // of users are looked up in these files (policy::files_resolver()); a directory more would be all
  // of /etc, so where one of them was replaced the reload says so.
  paths.read.push_back(directory_of(config.policy));
  paths.read.insert(paths.read.end(), {"/etc/passwd", "/etc/group"});
  // SQLite makes its own files beside the database.
  paths.write = {directory_of(config.state), config.audit};
  // The directory: the file is yet to be made, or comes anew.
  if (!config.audit_anchor.empty()) paths.write.push_back(directory_of(config.audit_anchor));
  paths.sockets = {directory_of(config.socket), directory_of(config.admin_socket)};
  confinement.violation = config.mode == SignerConfig::Mode::development
                              ? confine::Violation::loud
                              : confine::Violation::fatal;
  return confinement;
}

}  // namespace hsm::service
