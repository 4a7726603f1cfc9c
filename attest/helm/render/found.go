// SPDX-License-Identifier: Apache-2.0

package render

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/helm"
)

// found collects the images of all renderings of a chart. Most of its files are
// the same each time, custom resource definitions always, and reading YAML is
// what takes long: so each text is read once.
type found struct {
	read map[[sha256.Size]byte]manifests
	all  map[string]attest.ChartImage
}

// manifests is what a file's text has in it.
type manifests struct {
	images   []attest.ChartImage
	count    int
	problems []string
}

func newFound() *found {
	return &found{map[[sha256.Size]byte]manifests{}, map[string]attest.ChartImage{}}
}

// add reads what was rendered, by file.
func (f *found) add(rendered map[string]string) (count int, problems []string, err error) {
	for _, file := range slices.Sorted(maps.Keys(rendered)) {
		text := rendered[file]
		key := sha256.Sum256([]byte(file + "\x00" + text))
		m, ok := f.read[key]
		if !ok {
			if m.images, m.count, m.problems, err = helm.FindImages(map[string]string{file: text}); err != nil {
				return 0, nil, err
			}
			f.read[key] = m
		}
		if count += m.count; count > helm.MaxManifests {
			return 0, nil, fmt.Errorf("%w: it renders more than %d manifests", helm.ErrChart, helm.MaxManifests)
		}
		problems = append(problems, m.problems...)
		for _, image := range m.images {
			if err := f.image(image); err != nil {
				return 0, nil, err
			}
		}
	}
	return count, problems, nil
}

func (f *found) image(image attest.ChartImage) error {
	known, ok := f.all[image.Reference]
	if ok {
		image.Guessed = image.Guessed && known.Guessed
		image.Places = merged(known.Places, image.Places)
		image.Places = image.Places[:min(len(image.Places), helm.MaxPlaces)]
	} else if len(f.all) == helm.MaxImages {
		return fmt.Errorf("%w: it refers to more than %d images", helm.ErrChart, helm.MaxImages)
	}
	f.all[image.Reference] = image
	return nil
}
