# requires: openpyxl==3.1.5
import datetime
import io

from openpyxl import Workbook, load_workbook
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter


def handler(params):
    book = Workbook()
    sheet = book.active
    sheet.title = "Däta"
    sheet.append(["name", "value", "when"])
    for value in params["values"]:
        sheet.append([params["text"], value, datetime.date(2026, 11, value)])
    sheet["B20"] = "=SUM(B2:B9)"
    sheet["A1"].font = Font(bold=True)
    sheet.merge_cells("D1:E2")
    file = io.BytesIO()
    book.save(file)
    read = load_workbook(io.BytesIO(file.getvalue()))["Däta"]
    return [read.dimensions, [[str(cell.value) for cell in row] for row in read.iter_rows(max_row=4)], read["B20"].value, read["A1"].font.b, str(read.merged_cells), get_column_letter(703), read["C2"].number_format]
