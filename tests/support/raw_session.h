// A session on the loaded module without the product's wrapper: what another program could do.
#pragma once

#include <p11-kit/pkcs11.h>

#include <string>
#include <vector>

#include "hsm_signer/token/template.h"

namespace hsm::test {

// Aborts where the module gives no session. Logs in where this process is not, as p11-kit's client
// sees it: each who loads that module has a connection and a login of its own.
class RawSession {
 public:
  RawSession(const std::string& module, CK_SLOT_ID slot, const std::string& pin_file);
  RawSession(const RawSession&) = delete;
  RawSession& operator=(const RawSession&) = delete;
  ~RawSession() { list_->C_CloseSession(handle_); }

  CK_FUNCTION_LIST* operator->() const { return list_; }
  CK_SESSION_HANDLE handle() const { return handle_; }
  // At most 256, which no test exceeds.
  std::vector<CK_OBJECT_HANDLE> find(token::Template& match) const;
  // Empty where there is none.
  std::string label(CK_OBJECT_HANDLE object) const;

 private:
  CK_FUNCTION_LIST* list_;
  CK_SESSION_HANDLE handle_ = 0;
};

}  // namespace hsm::test
