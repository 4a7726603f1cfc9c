// SPDX-License-Identifier: Apache-2.0

package image_test

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/hallmark-dev/hallmark/deploy/image"
)

func TestBuild(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "hallmark")
	if err := os.WriteFile(binary, []byte("binary"), 0o600); err != nil {
		t.Fatal(err)
	}
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	platforms := []image.Platform{{OS: "linux", Architecture: "amd64", Binaries: []string{binary}}, {OS: "linux", Architecture: "arm64", Binaries: []string{binary}}}
	first, err := image.Build(created, platforms...)
	if err != nil {
		t.Fatal(err)
	}
	// What a registry gives back is what counts.
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/hallmark:test")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, first); err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(pulled); err != nil {
		t.Fatal(err)
	}
	again, err := image.Build(created, platforms...)
	if err != nil {
		t.Fatal(err)
	}
	one, _ := first.Digest()
	two, _ := again.Digest()
	if one != two {
		t.Errorf("the same input gave %s and %s", one, two)
	}
	other, err := image.Build(created.Add(time.Second), platforms...)
	if err != nil {
		t.Fatal(err)
	}
	if three, _ := other.Digest(); three == one {
		t.Error("another creation time gave the same digest")
	}
	if _, err := image.Build(created); err == nil {
		t.Error("an index without platforms was built")
	}
}
