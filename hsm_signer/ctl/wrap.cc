#include <sys/stat.h>
#include <unistd.h>

#include "hsm_signer/ctl/secret.h"
#include "hsm_signer/ctl/verbs.h"
#include "hsm_signer/wire/blob.h"

namespace hsm::ctl {
namespace {

// A blob may be the only copy of a secret, and a device node is no file to be replaced.
Result<void> refuse_existing(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return {};
  return fail(Code::usage, "exists already; remove it or choose another name", path);
}

// The secret is wiped before the blob is handed out: whoever reads that may take his time.
Result<wire::WrappedKey> wrapped_secret(const std::string& secret_file, std::string_view pem) {
  TRY(const SecretBytes secret, read_secret(secret_file));
  return wire::wrap(secret, pem);
}

}  // namespace

Result<void> wrap(Context& context, const WrapOptions& options) {
  TRY_VOID(refuse_secret_environment(environ));
  const bool to_file = !options.output.empty() && options.output != "-";
  if (to_file) TRY_VOID(refuse_existing(options.output));
  TRY(const Bytes pem, read_file(options.token_key, kPemLimit));
  // Looked at before the question: nobody types a secret for a key that is none.
  TRY(const Sha256 fingerprint, wire::fingerprint(as_text(pem)));
  if (!context.json())
    context.err() << "wrap key " << wire::fingerprint_text(fingerprint) << std::endl;
  TRY(const wire::WrappedKey wrapped, wrapped_secret(options.secret_file, as_text(pem)));
  const std::string text = wrapped.to_text();
  // Together with the token's PIN the blob is the secret, so it is nobody else's to read.
  if (to_file) TRY_VOID(write_file_atomic(options.output, as_bytes(text), 0600));
  Json json;
  json.text("wrap_key", wire::fingerprint_text(fingerprint))
      .text("key_check", hex_encode(wrapped.key_check));
  to_file ? json.text("file", options.output) : json.text("blob", text);
  context.answer(json, to_file ? "wrote " + options.output + "\n" : text);
  return {};
}

}  // namespace hsm::ctl
