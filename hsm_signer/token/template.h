// Attributes as PKCS#11 takes them (v2.40 section 2.1), owning their values.
#pragma once

#include <p11-kit/pkcs11.h>

#include <deque>
#include <string_view>
#include <vector>

#include "hsm_signer/base/bytes.h"

namespace hsm::token {

class Template {
 public:
  Template& flag(CK_ATTRIBUTE_TYPE type, bool value) {
    const CK_BBOOL boolean = value ? CK_TRUE : CK_FALSE;
    return bytes(type, {&boolean, 1});
  }
  Template& number(CK_ATTRIBUTE_TYPE type, CK_ULONG value) {
    return bytes(type, {reinterpret_cast<const Byte*>(&value), sizeof value});
  }
  Template& text(CK_ATTRIBUTE_TYPE type, std::string_view value) {
    return bytes(type, as_bytes(value));
  }
  Template& bytes(CK_ATTRIBUTE_TYPE type, ByteView value) {
    Bytes& owned = values_.emplace_back(value.begin(), value.end());
    attributes_.push_back({type, owned.data(), owned.size()});
    return *this;
  }
  // CKA_UNWRAP_TEMPLATE: an attribute whose value is a template.
  Template& nested(CK_ATTRIBUTE_TYPE type, Template& value) {
    attributes_.push_back({type, value.data(), value.attributes_.size() * sizeof(CK_ATTRIBUTE)});
    return *this;
  }

  // The functions of PKCS#11 take templates they do not write to as pointers to non-const.
  CK_ATTRIBUTE* data() { return attributes_.data(); }
  CK_ULONG size() const { return attributes_.size(); }

  Template() = default;
  Template(Template&&) = default;
  // Not copied: a copy's attributes would point at the original's values.
  Template(const Template&) = delete;
  Template& operator=(const Template&) = delete;

 private:
  std::deque<Bytes> values_;  // A deque: growing moves no element.
  std::vector<CK_ATTRIBUTE> attributes_;
};

}  // namespace hsm::token
