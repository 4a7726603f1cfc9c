// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hallmark-dev/hallmark/deploy/image"
)

// PushHallmark pushes an index of Hallmark's own CLI for two platforms to
// repository:tag and returns its reference by digest. Each call makes another
// digest. The arm64 member holds the binary of `make build` if there is one,
// else this platform's: its bytes do not matter to a signature.
func (l *Lab) PushHallmark(t testing.TB, repository, tag string) string {
	t.Helper()
	cli := Program(t, "hallmark")
	arm := filepath.Join(filepath.Dir(cli), "linux-arm64", "hallmark")
	if _, err := os.Stat(arm); err != nil {
		arm = cli
	}
	return l.push(t, repository, tag,
		image.Platform{OS: "linux", Architecture: "amd64", Binaries: []string{cli}},
		image.Platform{OS: "linux", Architecture: "arm64", Binaries: []string{arm}})
}

// PushSmall is PushHallmark with a few random bytes for a program, for tests
// that need many images.
func (l *Lab) PushSmall(t testing.TB, repository, tag string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte(rand.Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	return l.push(t, repository, tag, image.Platform{OS: "linux", Architecture: "amd64", Binaries: []string{path}})
}

func (l *Lab) push(t testing.TB, repository, tag string, platforms ...image.Platform) string {
	t.Helper()
	index, err := image.Build(time.Now(), platforms...)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewTag(l.Registry + "/" + repository + ":" + tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return ref.Context().Digest(digest.String()).String()
}

// Copy copies an index to another repository of the registry, under its
// digest. Referrers stay where they are.
func (l *Lab) Copy(t testing.TB, ref, repository string) string {
	t.Helper()
	from, err := name.NewDigest(ref)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(from, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	to, err := name.NewDigest(l.Registry + "/" + repository + "@" + from.DigestStr())
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(to, index, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	return to.String()
}
