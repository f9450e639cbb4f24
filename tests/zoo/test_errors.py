from zoo.errors import InputError, one_line


def test_a_sentence_is_one_line_that_no_terminal_obeys():
    text = "The file 'a\nb\r\n\x1b[31m\u2028\udcff\x00c' is none."
    assert str(InputError(text)) == r"The file 'a b \x1b[31m \udcff\x00c' is none."
    assert one_line("An ordinary  sentence: é, \u03b2.") == "An ordinary  sentence: é, \u03b2."


def test_of_a_long_one_both_ends_are_kept():
    sentence = str(InputError("Unknown model '" + "x" * 10_000 + "': did you mean 'vae'?"))
    assert len(sentence) < 1100
    assert sentence.startswith("Unknown model 'xxx")
    assert sentence.endswith("did you mean 'vae'?")
