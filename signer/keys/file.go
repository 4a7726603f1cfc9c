// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/youmark/pkcs8"
)

const (
	// pemType is the label of RFC 7468 section 11.
	pemType = "ENCRYPTED PRIVATE KEY"
	// fileMode lets only the owner read a key.
	fileMode = 0o600
	// othersMask are the permissions a secret file must not have.
	othersMask = 0o077
	// maxKeyFile bounds what is read as a key: the largest key this package
	// writes, RSA of 4096 bits, takes about 3,500 bytes.
	maxKeyFile = 16 << 10
)

// WriteEncrypted stores a private key, encrypted with the password, as PEM in
// a new file that only its owner can read. The file and its folder's entry are
// on disk when it returns. An existing file is never touched: the error is
// fs.ErrExist then. An empty password is ErrNoPassword.
func WriteEncrypted(path string, key crypto.Signer, password []byte) error {
	hash, err := hashFor(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write key %s: %w", path, err)
	}
	block, err := encrypt(key, password, hash)
	if err != nil {
		return fmt.Errorf("write key %s: %w", path, err)
	}
	return writeKey(path, block)
}

// writeKey writes the PEM block of a key to a new file.
func writeKey(path string, block []byte) error {
	if err := writeNew(path, block); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("write key %s: %w (hint: keys are never overwritten; move the old one away first)", path, fs.ErrExist)
		}
		return fmt.Errorf("write key %s: %w", path, err)
	}
	return nil
}

// encrypt returns the PEM block of a key file.
func encrypt(key crypto.Signer, password []byte, hash pkcs8.KDFOpts) ([]byte, error) {
	if _, err := KindOf(key); err != nil {
		return nil, err
	}
	return encode(key, password, hash)
}

// encode is encrypt of a key whose kind was looked at.
func encode(key crypto.Signer, password []byte, hash pkcs8.KDFOpts) ([]byte, error) {
	if len(password) == 0 {
		// The encoder would write the key in the clear.
		return nil, ErrNoPassword
	}
	der, err := pkcs8.MarshalPrivateKey(key, password, &pkcs8.Opts{Cipher: pkcs8.AES256CBC, KDFOpts: hash})
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// ReadEncrypted opens a key that WriteEncrypted, or
// `openssl pkcs8 -topk8 -scrypt -v2 aes-256-cbc`, has written. Errors:
// fs.ErrNotExist, ErrTooOpen, ErrNotKey, ErrWrongPassword, ErrNoPassword,
// ErrUnsupported.
func ReadEncrypted(path string, password []byte) (crypto.Signer, error) {
	key, err := readKey(path, password)
	if err != nil {
		return nil, err
	}
	if _, err := KindOf(key); err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	return key, nil
}

// readKey opens a key of any kind: whoever calls it looks at that.
func readKey(path string, password []byte) (crypto.Signer, error) {
	block, err := readSecret(path, maxKeyFile)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read key: no file %s: %w", path, fs.ErrNotExist)
		}
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	key, err := decrypt(block, password)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	return key, nil
}

// decrypt parses the bytes of a key file. The bounds are checked before the
// password is hashed, so that a planted file cannot take the memory or the
// time of the machine.
func decrypt(file, password []byte) (crypto.Signer, error) {
	if len(password) == 0 {
		return nil, fmt.Errorf("%w (hint: give the password the key was written with)", ErrNoPassword)
	}
	block, rest := pem.Decode(file)
	if block == nil || block.Type != pemType || len(rest) != 0 {
		return nil, fmt.Errorf("%w (hint: one PEM block %q and nothing else)", ErrNotKey, pemType)
	}
	if err := checkParameters(block.Bytes); err != nil {
		return nil, err
	}
	parsed, _, err := pkcs8.ParsePrivateKey(block.Bytes, password)
	if err != nil {
		// The form was checked above: what is left is a wrong password, or
		// bytes that changed, and nobody can tell the two apart.
		return nil, fmt.Errorf("%w, or the file is damaged", ErrWrongPassword)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: %T cannot sign", ErrUnsupported, parsed)
	}
	return key, nil
}

// readSecret reads a file that only its owner may read. The permissions are
// those of the opened file, not of the name, which could be exchanged between
// two calls.
func readSecret(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the path is the operator's configuration
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file: %s", info.Mode().Type())
	}
	if mode := info.Mode().Perm(); mode&othersMask != 0 {
		return nil, fmt.Errorf("%w: mode %04o (hint: chmod 600 %s)", ErrTooOpen, mode, path)
	}
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("file is larger than %d bytes", limit)
	}
	return content, nil
}

// writeNew creates the file and makes content and name durable. If the power
// fails before it returns, the file may exist and be incomplete; ReadEncrypted
// refuses such a file, and nothing has been signed with its key yet.
func writeNew(path string, content []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode) //nolint:gosec // the path is the operator's configuration
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(path)
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a new name in the folder survive a power failure.
func syncFolder(path string) error {
	d, err := os.Open(path) //nolint:gosec // the path is the operator's configuration
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}
