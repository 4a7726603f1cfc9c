// SPDX-License-Identifier: Apache-2.0

// Command pushimage pushes Hallmark's container image, made of the programs in
// bin/, and prints its reference by digest. `make image` runs it. Sign the
// digest in CI like any other image.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hallmark-dev/hallmark/deploy/image"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "pushimage:", err)
		os.Exit(1)
	}
}

// run pushes to args[0], a reference with a tag. The image is of this
// platform; credentials are those of docker login.
func run(ctx context.Context, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return errors.New("which image? (hint: make image IMAGE=registry.corp.example/hallmark:1.0)")
	}
	ref, err := name.NewTag(args[0], name.StrictValidation)
	if err != nil {
		return err
	}
	platform := image.Platform{OS: "linux", Architecture: runtime.GOARCH}
	for _, program := range []string{"hallmark-controller", "hallmark-server", "hallmark-chart", "hallmark"} {
		platform.Binaries = append(platform.Binaries, filepath.Join("bin", program))
	}
	index, err := image.Build(time.Unix(0, 0), platform)
	if err != nil {
		return err
	}
	if err := remote.WriteIndex(ref, index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	_, err = fmt.Println(ref.Context().Digest(digest.String()))
	return err
}
