#include "hsm_signer/base/own_binary.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <memory>

#include "hsm_signer/base/hash.h"
#include "hsm_signer/base/os.h"

namespace hsm {

Bytes own_binary_sha256() {
  const OwnedFd file{::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)};
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free};
  if (!file.valid() || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1) return {};
  // Read, not mapped: with all memory locked a map would be counted against the limit.
  Bytes block(256 * 1024);
  for (;;) {
    const ssize_t size = ::read(file.get(), block.data(), block.size());
    if (size < 0) return {};
    if (size == 0) break;
    if (EVP_DigestUpdate(context.get(), block.data(), static_cast<std::size_t>(size)) != 1)
      return {};
  }
  Bytes digest(sizeof(Sha256));
  if (EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) != 1) return {};
  return digest;
}

}  // namespace hsm
