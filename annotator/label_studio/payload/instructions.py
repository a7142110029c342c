"""What annotators can open from the page: what each key will mean after the pull. No network."""

EARLIER_INSTRUCTIONS = frozenset(
    {
        "e7a6794ffbd77233c04fda48c119a9dfbc434b178787462f88ea2b5ffa481c82",
        "bb53bd8615a9e3f27eb9cba04836af4c0e7ccc43a3ec996943fda3dd3f6aac7d",
    }
)
"""SHA-256 of what earlier versions wrote, blanks made alike; a project that has it is given today's."""

INSTRUCTIONS = """<h3>Is the proposal right?</h3>
<p>If there is a box, a model has proposed it. "The model proposes: nothing to find" in the header means that it found
none. If there is neither, nothing is proposed.</p>
<table>
<tr><td><b>Submit</b> (Ctrl+Enter)</td><td>the box is right as it is: it becomes the label</td></tr>
<tr><td>drag the box or its corners, then <b>Submit</b></td><td>your correction becomes the label</td></tr>
<tr><td>drag beside it, then <b>Submit</b></td><td>one more box; several boxes mean several lesions</td></tr>
<tr><td><b>1</b> accept</td><td>with a box, the same as Submit alone, but explicit; where the model proposes nothing
to find, you agree: the image is known to be empty</td></tr>
<tr><td><b>2</b> nothing there</td><td>there is no lesion in this image: it is known to be empty</td></tr>
<tr><td><b>3</b> cannot tell</td><td>the proposal is rejected; the location of the lesion stays unknown</td></tr>
<tr><td><b>4</b> wrong class</td><td>the image's class is listed for correction; the proposal is rejected unless you
moved or drew a box</td></tr>
<tr><td>click the box, then <b>Backspace</b></td><td>delete it; <b>5</b>, then drag, draws another</td></tr>
<tr><td><b>Ctrl+H</b></td><td>hide all boxes, and show them again</td></tr>
</table>
<p>Keys 1 to 4 also need Submit. "Nothing to find" is never accepted by Submit alone: press 1 or 2 first, or draw the
lesion that the model has missed. "Accept" for "nothing to find", "nothing there" or "cannot tell" together with a
box that you drew or moved is a contradiction: the task comes back under the tab "unclear". "Skip" says nothing about
the image.</p>
<h3>Is the class known?</h3>
<p>The header shows the class if it is known. If it is not, the classes are offered beside it, and one that is already
selected is the model's proposal: the one selected when you submit becomes the image's class. Select another if it is
wrong, or click the selected one to clear it if you cannot tell.</p>"""
