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

// run pushes to args[0], a reference with a tag, an index with an image for each
// of the architectures that follow, without any for that of this machine.
// Credentials are those of docker login.
func run(ctx context.Context, args []string) error {
	if len(args) == 0 || args[0] == "" {
		return errors.New("which image? (hint: make image IMAGE=registry.corp.example/hallmark:1.0)")
	}
	ref, err := name.NewTag(args[0], name.StrictValidation)
	if err != nil {
		return err
	}
	architectures := args[1:]
	if len(architectures) == 0 {
		architectures = []string{runtime.GOARCH}
	}
	var platforms []image.Platform
	for _, architecture := range architectures {
		platforms = append(platforms, platform(architecture))
	}
	index, err := image.Build(time.Unix(0, 0), platforms...)
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

// platform is the image of an architecture, of the programs that the Makefile
// has built for it.
func platform(architecture string) image.Platform {
	folder := "bin"
	if architecture != runtime.GOARCH {
		folder = filepath.Join("bin", "linux-"+architecture)
	}
	p := image.Platform{OS: "linux", Architecture: architecture}
	for _, program := range []string{"hallmark-controller", "hallmark-server", "hallmark-chart", "hallmark"} {
		p.Binaries = append(p.Binaries, filepath.Join(folder, program))
	}
	return p
}
