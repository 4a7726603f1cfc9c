// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer"
)

// attestedImages is the answer to `hallmark chart images`: the receipt, and what
// the statement says, since a receipt has it only inside of the bundle.
type attestedImages struct {
	signer.Receipt
	RefersTo []chartImage `json:"refersTo,omitempty"`
}

// chartImage is what is shown of an image.
type chartImage struct {
	Reference string        `json:"reference"`
	Digest    attest.Digest `json:"digest,omitempty"`
	Guessed   bool          `json:"guessed,omitempty"`
	Pinned    bool          `json:"pinned"`
	Signed    bool          `json:"signed"`
	Revoked   string        `json:"revoked,omitempty"`
	Problem   string        `json:"problem,omitempty"`
}

// imagesOf reads the statement in a receipt's bundle. It is for looking at: who
// relies on it verifies the bundle. What cannot be read shows nothing.
func imagesOf(bundle []byte) []chartImage {
	carried, err := attest.OpenEnvelopes(bundle)
	if err != nil || len(carried) != 1 {
		return nil
	}
	said, err := carried[0].Read()
	if err != nil || said.ChartImages == nil {
		return nil
	}
	var all []chartImage
	for _, i := range said.ChartImages.Images {
		all = append(all, chartImage{i.Reference, i.Digest, i.Guessed, i.Pinned, i.Signed, i.Revoked, i.Problem})
	}
	return all
}

// printImages prints the images that a chart refers to, with why one is not
// signed. Names and reasons are a stranger's words.
func printImages(w io.Writer, images []chartImage) {
	for _, i := range images {
		verdict, detail := "signed", string(i.Digest)
		switch {
		case i.Revoked != "":
			verdict, detail = "revoked", i.Revoked
		case !i.Signed:
			verdict, detail = "not signed", i.Problem
		}
		if i.Guessed {
			detail += " (taken for an image by its form)"
		}
		_, _ = fmt.Fprintf(w, "image\t%s\t%s\t%s\n", program.Printable(i.Reference), verdict, program.Printable(detail))
	}
}
