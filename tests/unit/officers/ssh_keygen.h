// The real ssh-keygen, with keys of its own in a directory that ends with the test.
#pragma once

#include <string>
#include <string_view>

#include "hsm_signer/base/bytes.h"
#include "tests/support/temp_dir.h"

namespace hsm::officers {

class SshKeygen {
 public:
  // A new key, e.g. key("mine", "rsa", 3072); bits 0 for the type's own. The name of its file.
  std::string key(const std::string& name, const std::string& type, unsigned bits = 0);
  // "TYPE BASE64 COMMENT", as it stands in NAME.pub.
  std::string public_line(const std::string& key) const;
  // What ssh-keygen calls it: "SHA256:…".
  std::string fingerprint(const std::string& public_line);
  // The armored signature over `text`. `hash`: sha256 or sha512.
  std::string sign(const std::string& key, std::string_view text, const std::string& name_space,
                   const std::string& hash = "sha512");
  // Whether ssh-keygen -Y verify takes it for the key of this line.
  bool verifies(const std::string& public_line, std::string_view armored, std::string_view text,
                const std::string& name_space);

 private:
  std::string file(const std::string& name, std::string_view content) const;

  TempDir directory_;
};

}  // namespace hsm::officers
