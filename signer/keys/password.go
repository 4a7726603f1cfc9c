// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// maxPassword in bytes bounds the password file; a longer one is more likely
// a wrong path than a password.
const maxPassword = 4 << 10

// ReadPassword returns the password that the keys are encrypted with: the
// content of file if one is named, else the value of the environment variable
// env. One line end at the end of the file is not part of it. The file must not
// be readable by others (ErrTooOpen). A password that is missing or empty is
// ErrNoPassword.
//
// Prefer the file: a process's environment is visible to its children and to
// whoever may read /proc of the same user.
func ReadPassword(file, env string) ([]byte, error) {
	if file != "" {
		return readPasswordFile(file)
	}
	if env == "" {
		return nil, fmt.Errorf("read password: %w (hint: name a password file or an environment variable)", ErrNoPassword)
	}
	value := os.Getenv(env)
	if value == "" {
		return nil, fmt.Errorf("read password: environment variable %s is empty: %w (hint: set it, or name a password file)", env, ErrNoPassword)
	}
	if len(value) > maxPassword {
		return nil, fmt.Errorf("read password: environment variable %s holds more than %d bytes", env, maxPassword)
	}
	return []byte(value), nil
}

func readPasswordFile(path string) ([]byte, error) {
	content, err := readSecret(path, maxPassword)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read password: no file %s: %w (hint: write the password into it, mode 0600)", path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("read password %s: %w", path, err)
	}
	content = bytes.TrimSuffix(content, []byte("\n"))
	content = bytes.TrimSuffix(content, []byte("\r"))
	if len(content) == 0 {
		return nil, fmt.Errorf("read password %s: %w (hint: the file is empty)", path, ErrNoPassword)
	}
	return content, nil
}
