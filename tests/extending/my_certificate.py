"""The certificate of a model in a notebook, whatever trained it."""

from train.certificates import certify


def certified(model, test, folder, **known):
    """Certifies a model on images that it has not seen; writes the page and the picture."""
    certificate = certify(model, test, **known)
    print(certificate.verdict)
    for constraint in certificate["constraints"]:
        print(constraint["expression"], constraint["status"], constraint["value"])
    certificate.write(folder)
    return certificate
