// SPDX-License-Identifier: Apache-2.0

package pglab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// firstPort and ports are a range below the one that the kernel takes for
	// outgoing connections, so that a port stays free while a server restarts.
	firstPort = 20000
	ports     = 10000
	// portTries bounds the search on a machine where many are taken.
	portTries = 100
)

// binaries returns the folder of initdb and postgres: what pg_config says, or
// where Debian puts the newest version. A pg_config alone is no server: client
// libraries bring it along.
func binaries() (string, error) {
	var dirs []string
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil { //nolint:noctx // immediate
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	debian, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.SortFunc(debian, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range append(dirs, debian...) {
		if executable(filepath.Join(dir, "initdb")) && executable(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", errors.New("no PostgreSQL server on this machine: neither `pg_config --bindir` nor /usr/lib/postgresql/*/bin has initdb and postgres (hint: apt-get install postgresql, or make postgresql)")
}

// version is the number in /usr/lib/postgresql/15/bin, 0 if there is none.
func version(bin string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	if err != nil {
		return 0
	}
	return n
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// unprivileged returns whom the server runs as: PostgreSQL refuses to be root.
// nil means whoever runs the test.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nobody else is an answer
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("postgres refuses to run as root, and there is no user postgres or nobody to run it as")
}

// privateDir makes a folder for a server that its user can reach and own. The
// temporary folder of the test may lie below one that only root may enter.
func privateDir(who *syscall.Credential) (string, error) {
	base := os.TempDir()
	if who != nil && !reachable(base) {
		base = "/tmp"
	}
	sweep(base)
	dir, err := os.MkdirTemp(base, dirPrefix)
	if err != nil {
		return "", err
	}
	if who != nil {
		if err := os.Chown(dir, int(who.Uid), int(who.Gid)); err != nil {
			return "", err
		}
	}
	return dir, nil
}

const (
	dirPrefix = "hallmark-pg-"
	// lockName is a file in the folder that the test binary holds a lock on,
	// which the kernel releases when it ends, however it ends.
	lockName = "owner"
	// sweepAge keeps sweep from folders whose owner has not locked them yet.
	sweepAge = time.Minute
)

// lockDir marks a folder as in use until the file is closed.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // our own folder
	if err != nil {
		return nil, err
	}
	return f, syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// sweep removes the folders of test binaries that were killed. What cannot be
// removed is somebody else's.
func sweep(base string) {
	dirs, err := filepath.Glob(filepath.Join(base, dirPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		info, err := os.Stat(filepath.Join(dir, lockName))
		if err != nil || time.Since(info.ModTime()) < sweepAge {
			continue
		}
		if f, err := lockDir(dir); err == nil {
			_ = os.RemoveAll(dir) // best effort
			_ = f.Close()         // of what is gone
		} else if f != nil {
			_ = f.Close() // it lives
		}
	}
}

// reachable says whether everybody may enter a folder and all above it.
func reachable(dir string) bool {
	for dir, err := filepath.EvalSymlinks(dir); ; dir = filepath.Dir(dir) {
		info, statErr := os.Stat(dir)
		if err != nil || statErr != nil || info.Mode()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// freePort returns a loopback port that was free a moment ago.
func freePort(ctx context.Context) (int, error) {
	var err error
	for range portTries {
		port := firstPort + rand.IntN(ports) //nolint:gosec // which one does not matter
		var l net.Listener
		l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no free port: %w", err)
}
